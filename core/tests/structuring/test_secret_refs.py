"""References to keys: settings name the place and never hold the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.errors import SettingsError
from localagent.structuring.place import Place
from localagent.structuring.secrets import Secret, SecretRef
from localagent_testing.canaries import CANARY_KEY, Canaries

KEYS = Place("localagent.toml").key("keys").item(0)


def reference(value: object) -> SecretRef:
    return SecretRef.from_settings(value, KEYS)


def refusal(value: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        reference(value)
    return caught.value


def unreadable(value: object, environment: dict[str, str] | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        reference(value).read(environment or {})
    return caught.value


def test_a_key_is_read_from_the_environment_variable_that_is_named() -> None:
    """From the environment that is passed; white space around the key does not count."""
    assert reference({"env": "MY_KEY"}).read({"MY_KEY": f" {CANARY_KEY}\n"}) == Secret(CANARY_KEY)


def test_a_key_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    """The path is meant from the folder of the settings file."""
    (tmp_path / "key").write_text(f"{CANARY_KEY}\n")
    place = Place("localagent.toml", folder=tmp_path).key("keys").item(0)
    assert SecretRef.from_settings({"file": "key"}, place).read({}) == Secret(CANARY_KEY)


def test_a_program_may_pass_the_key_itself() -> None:
    """As a ``Secret``, which a file cannot hold."""
    assert reference(Secret(CANARY_KEY)).read({}) == Secret(CANARY_KEY)


def test_a_reference_is_taken_as_it_is() -> None:
    """Programs may pass objects."""
    assert reference(SecretRef(env="MY_KEY")).read({"MY_KEY": "k"}) == Secret("k")


@pytest.mark.parametrize(
    "value",
    [CANARY_KEY, [CANARY_KEY], {"env": CANARY_KEY}, {"key": CANARY_KEY}, {CANARY_KEY: ""},
     {"env": "A", "file": CANARY_KEY}, {"env": [CANARY_KEY]}, {}, {"env": ""}, {"env": "A B"}, 5, None,
     {"given": CANARY_KEY}, {"named_by": CANARY_KEY}],
)  # fmt: skip
def test_anything_but_one_reference_is_refused_without_showing_it(value: object, canaries: Canaries) -> None:
    """Keys, and what holds one in the wrong place."""
    error = refusal(value)
    canaries.watch(error)
    assert str(error).startswith("localagent.toml: keys[0]")


@pytest.mark.parametrize("value", [CANARY_KEY, "hunter2", {"env": CANARY_KEY}])
def test_whoever_writes_the_key_is_told_where_it_belongs(value: object) -> None:
    """The sentence is the way out."""
    assert "put it into an environment variable" in str(refusal(value))


def test_a_variable_that_is_not_set_is_named(canaries: Canaries) -> None:
    """With the place that names it; an empty one counts as not set."""
    said = "localagent.toml: keys[0]: the environment variable MY_KEY is not set or empty."
    assert unreadable({"env": "MY_KEY"}).message == said
    assert unreadable({"env": "MY_KEY"}, {"MY_KEY": " "}).message == said


@pytest.mark.parametrize("name", ["gsk_canary", "q7Vt2mXw9LbR4kZp8NcJ3hYd"])
def test_a_key_that_stands_where_the_name_of_the_variable_belongs_is_not_shown(name: str) -> None:
    """Some keys look like names of variables."""
    assert name not in str(unreadable({"env": name}))


@pytest.mark.parametrize(
    "key", [f"{CANARY_KEY} x", f"{CANARY_KEY}\r\nHost: evil", f"{CANARY_KEY}\u00e9", f"{CANARY_KEY}\0"]
)
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str, canaries: Canaries) -> None:
    """It would break the request, or add a header to it."""
    error = unreadable({"env": "MY_KEY"}, {"MY_KEY": key})
    canaries.watch(error)
    assert "characters that are not allowed in a key" in error.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, canaries: Canaries) -> None:
    """Missing, a folder, empty or not text; never with what it holds."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(CANARY_KEY.encode() + b"\xff")
    for name, why in [
        ("gone", "No such file"),
        (".", "directory"),
        ("binary", "not text"),
        ("empty", "not set or empty"),
    ]:
        error = unreadable({"file": str(tmp_path / name)})
        canaries.watch(error)
        assert why in error.message
        assert error.__context__ is None


def test_a_reference_hides_the_key_that_it_was_given(canaries: Canaries) -> None:
    """In ``repr`` and ``str``."""
    canaries.watch(reference(Secret(CANARY_KEY)))
    assert str(reference(Secret(CANARY_KEY))) == "a key that the program passed"
