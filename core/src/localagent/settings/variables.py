"""Environment variables that say something else than a key: what is wrong with one is told as it is of a setting."""

from __future__ import annotations

from collections.abc import Mapping

from localagent.errors import SettingsError
from localagent.settings.place import Place

_PLACE = Place("the environment")


def wrong_variable(name: str, value: str, expected: str) -> SettingsError:
    """Return the error for a variable that does not hold what was expected: its name, its value, what was expected.

    The value is left out where it may be a secret; an empty one counts as none and is no error.
    """
    mend = f"Correct {name}, or unset it."
    if "@" in value:  # what stands in front of it may be a password
        return SettingsError(f"{_PLACE.key(name)}: expected {expected}.", mend=mend)
    return _PLACE.key(name).wrong(value, expected, mend=mend)


def read_count(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return a variable's whole number from 1 up; the default where it is not set or empty.

    Raises:
        SettingsError: It holds something else.
    """
    text = environment.get(name, "").strip()
    if not text:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if not number:
        raise wrong_variable(name, text, "a whole number from 1 up")
    return number
