"""attrs classes filled from settings, and refusals in words that help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import SettingsError
from localagent.settings import structure
from localagent.structuring.fields import Bytes, Seconds
from localagent.structuring.place import Place
from localagent.structuring.reading import read
from localagent_testing.canaries import CANARY_KEY, Canaries

FILE = "localagent.toml"


@attrs.frozen
class Shelf:
    """A nested table."""

    height: int
    wood: Literal["oak", "pine"] = "oak"


@attrs.frozen
class Cupboard:
    """A table with a field of each kind."""

    name: str
    doors: int = 2
    locked: bool = False
    load: float = 1.0
    open_for: Seconds = 5.0
    room: Bytes = 1024
    shelves: tuple[Shelf, ...] = ()
    labels: dict[str, str] = attrs.field(factory=dict)
    best: Shelf | None = None
    either: str | Shelf = ""
    folder: Path = Path()
    rest: Any = None
    counts: list[int] = attrs.field(factory=list)
    colours: Sequence[str] = ()
    prices: Mapping[str, float] = attrs.field(factory=dict)
    tag: Annotated[str, "not a reading"] = ""


@attrs.frozen
class Guarded:
    """A table whose class refuses values itself."""

    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    words: tuple[str, ...] = attrs.field(default=(), validator=attrs.validators.max_len(1))
    code: str = attrs.field(default="", validator=attrs.validators.matches_re("[a-z]*"))

    def __attrs_post_init__(self) -> None:
        if "bad" in self.words:
            raise ValueError(f"words must be kind: {self.words}.")


@attrs.frozen
class Odd:
    """A class with a field that no settings file can hold."""

    picture: complex = 0j


@attrs.frozen
class Empty:
    """A class without settings."""


def refusal(table: Mapping[Any, Any], cls: type = Cupboard, where: str | Place = FILE) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        structure(cls, table, where=where)
    return caught.value


def test_every_kind_of_field_is_filled() -> None:
    """Names are keys, annotations are types."""
    cupboard = structure(
        Cupboard,
        {
            "name": "hall", "doors": 3, "locked": True, "load": 2, "open_for": "1 min", "room": "1 KiB",
            "shelves": [{"height": 1}, {"height": 2, "wood": "pine"}], "labels": {"a": "b"}, "best": {"height": 9},
            "either": {"height": 4}, "folder": "/srv", "rest": {"x": [1]}, "counts": [1, 2], "colours": ["red"],
            "prices": {"low": 1}, "tag": "t",
        },
        where=FILE,
    )  # fmt: skip
    assert cupboard == Cupboard(
        name="hall", doors=3, locked=True, load=2.0, open_for=60.0, room=1024,
        shelves=(Shelf(1), Shelf(2, "pine")), labels={"a": "b"}, best=Shelf(9), either=Shelf(4), folder=Path("/srv"),
        rest={"x": [1]}, counts=[1, 2], colours=("red",), prices={"low": 1.0}, tag="t",
    )  # fmt: skip
    assert isinstance(cupboard.load, float)


def test_what_is_left_out_keeps_its_default() -> None:
    """And what has none must be there."""
    assert structure(Cupboard, {"name": "hall"}, where=FILE) == Cupboard("hall")
    assert refusal({}).message == "localagent.toml: name is missing: expected text."


def test_an_unknown_key_is_refused_with_file_key_and_the_nearest_right_name() -> None:
    """A setting with a typing error is never ignored in silence."""
    error = refusal({"name": "hall", "shelves": [{"height": 1, "woood": "oak"}]})
    assert error.message == "localagent.toml: shelves[0].woood is unknown: expected height or wood."
    assert error.hint == "Did you mean wood?"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("doors", "two", 'doors = "two": expected a whole number.'),
        ("doors", 2.0, "doors = 2.0: expected a whole number."),
        ("doors", True, "doors = true: expected a whole number."),
        ("locked", 1, "locked = 1: expected true or false."),
        ("load", "heavy", 'load = "heavy": expected a number.'),
        ("load", True, "load = true: expected a number."),
        ("load", float("nan"), "load = NaN: expected a number."),
        ("load", 10**400, "load: expected a number, not a number."),
        ("open_for", "5 parsecs", 'open_for = "5 parsecs": expected a duration such as'),
        ("room", "big", 'room = "big": expected a size such as'),
        ("shelves", {}, "shelves: expected a list, not a table."),
        ("shelves", ["high"], 'shelves[0] = "high": expected a table with height, wood.'),
        ("labels", [], "labels: expected a table, not a list."),
        ("labels", {"a b": 1}, 'labels."a b" = 1: expected text.'),
        ("best", {"height": 1, "wood": "teak"}, 'best.wood = "teak": expected "oak" or "pine".'),
        ("either", 5, "either = 5: expected text or a table with height, wood."),
        ("either", {"height": "x"}, 'either.height = "x": expected a whole number.'),
        ("folder", "", 'folder = "": expected a path.'),
        ("folder", "~nobody-of-that-name/x", 'folder = "~nobody-of-that-name/x": expected a path in a home folder'),
        ("name", None, "name: expected text, not nothing."),
        ("counts", [1, None], "counts[1]: expected a whole number, not nothing."),
    ],
)
def test_a_wrong_value_is_refused_with_file_key_value_and_what_was_expected(key: str, value: object, said: str) -> None:
    """One sentence, at the key where it is wrong."""
    assert refusal({"name": "hall", key: value}).message.startswith(f"localagent.toml: {said}")


def test_a_whole_that_is_no_table_is_refused() -> None:
    """Programs may pass anything."""
    anything: Any = []
    assert refusal(anything).message.startswith("localagent.toml: expected a table with name, doors, locked")
    assert refusal({"name": "hall", 5: 1}).message == "localagent.toml: every key must be text, not a number."


def test_a_class_without_settings_takes_none() -> None:
    """A plugin without settings says so."""
    assert structure(Empty, {}, where=FILE) == Empty()
    assert "expected no settings here" in refusal({"size": 1}, Empty).message


def test_none_stands_for_a_field_that_may_be_none() -> None:
    """TOML has no such value, but programs do."""
    assert structure(Cupboard, {"name": "hall", "best": None}, where=FILE).best is None


def test_an_instance_of_the_class_is_taken_as_it_is() -> None:
    """Programs may mix tables and objects."""
    shelf = Shelf(3)
    assert structure(Cupboard, {"name": "hall", "shelves": [shelf]}, where=FILE).shelves[0] is shelf


def test_what_a_validator_of_the_class_says_is_told_with_its_place() -> None:
    """attrs validators and ``__attrs_post_init__`` work as everywhere."""
    assert refusal({"size": 0}, Guarded, Place(FILE).key("guard")).message == (
        "localagent.toml: guard: 'size' must be >= 1: 0."
    )
    assert refusal({"words": ["bad"]}, Guarded).message == "localagent.toml: words must be kind: ('bad',)."


@pytest.mark.parametrize("table", [{"code": CANARY_KEY}, {"words": [CANARY_KEY, "x"]}, {"words": ["bad", CANARY_KEY]}])
def test_what_a_validator_quotes_is_hidden_when_it_may_be_a_key(table: dict[str, Any], canaries: Canaries) -> None:
    """Foreign sentences are not trusted."""
    error = refusal(table, Guarded)
    canaries.watch(error)
    assert "***" in error.message or "words" in error.message


def test_a_path_is_meant_from_the_folder_of_the_file() -> None:
    """Wherever the program was started."""
    place = Place(FILE, folder=Path("/etc/localagent"))
    assert structure(Cupboard, {"name": "a", "folder": "keys/x"}, where=place).folder == Path("/etc/localagent/keys/x")
    assert structure(Cupboard, {"name": "a", "folder": "/srv"}, where=place).folder == Path("/srv")
    assert structure(Cupboard, {"name": "a", "folder": "~"}, where=place).folder == Path.home()


def test_a_field_that_settings_cannot_hold_is_the_defect_of_the_class() -> None:
    """It is no fault of anyone who wrote the settings."""
    with pytest.raises(TypeError, match="complex"):
        structure(Odd, {"picture": 1}, where=FILE)


SHAPES = [
    str,
    int,
    float,
    bool,
    Path,
    Seconds,
    Bytes,
    Shelf,
    tuple[str, ...],
    dict[str, int],
    Literal["a"],
    str | Shelf,
]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(CANARY_KEY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("height"), inner, max_size=3),
    max_leaves=6,
)


@given(kind=st.sampled_from(SHAPES), value=junk)
def test_whatever_is_written_is_read_or_refused(kind: Any, value: object) -> None:
    """Never another error, never a key in its text, never an error behind it that holds one."""
    refused = None
    try:
        read(kind, value, Place(FILE).key("here"))
    except SettingsError as error:
        refused = error
    assert refused is None or (CANARY_KEY not in str(refused) and refused.__context__ is None)
