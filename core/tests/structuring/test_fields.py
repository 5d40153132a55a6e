"""What an attrs class says about the settings that fill it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import pytest

from localagent.settings import reading_of, setting_fields
from localagent.structuring.fields import NOT_A_SETTING, Seconds, expected, one_of


@attrs.frozen
class Oven:
    """A class with a field of every sort."""

    doors: ClassVar[int] = 2

    heat: Seconds
    _rack: str = "middle"
    label: str | None = None
    made: int = attrs.field(init=False, default=0)
    owner: str = attrs.field(default="", metadata=NOT_A_SETTING)


def test_keys_are_the_names_of_the_arguments() -> None:
    """No class variable, nothing that is computed, nothing that is marked as no setting."""
    assert list(setting_fields(Oven)) == ["heat", "rack", "label"]


def test_a_field_knows_its_attribute_its_type_and_whether_it_must_be_there() -> None:
    """A private attribute has a public key."""
    fields = setting_fields(Oven)
    assert fields["rack"].attribute == "_rack"
    assert reading_of(fields["heat"].kind) is not None
    assert [field.required for field in fields.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (str, "text"),
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (Path, "a path"),
        (str | None, "text"),
        (str | int, "text or a whole number"),
        (Literal["a", "b", "c"], '"a", "b" or "c"'),
        (tuple[str, ...], "a list"),
        (dict[str, Any], "a table"),
        (Oven, "a table with heat, rack, label"),
        (Seconds, 'a duration such as 30, "250 ms", "30 s", "5 min", "1 h" or "2 d"'),
    ],
)
def test_a_type_is_told_in_words(kind: Any, words: str) -> None:
    """Nobody who edits a settings file knows what ``NoneType`` is."""
    assert expected(kind) == words


def test_names_are_told_as_a_phrase() -> None:
    """Commas, and "or" before the last."""
    assert [one_of(["a"]), one_of(["a", "b"]), one_of("abc")] == ["a", "a or b", "a, b or c"]
