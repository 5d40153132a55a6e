"""The place of a value in the settings or the environment, and what an error may show of it.

A key that is written in the wrong place must not appear in a log: a value is shown only when it is short, its name does
not suggest a secret, and it does not look like a key itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from localagent.errors import SettingsError
from localagent.structuring.fields import one_of

SHOWN_LENGTH = 32
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_WORDS = frozenset(
    "apikey auth authorization cookie credential credentials header headers key keys passwd password secret secrets "
    "token".split()
)
# How keys of well-known services begin, and long runs of letters and digits that are not words. Names of models and
# plugins are long, too, but consist of words: in them a hyphen ends a run.
_KEY_STARTS = re.compile(r"\b(sk|pk|rk|la|gsk|hf|xai|pplx|ghp|r8|nvapi|Bearer|Basic)[-_ ]\w|\b(AIza|AKIA|eyJ)\w")
_VALUE_RUN = re.compile(r"[A-Za-z0-9_+=-]{16,}")
NAME_RUN = re.compile(r"[A-Za-z0-9_+=]{20,}")


def looks_secret(text: str, runs: re.Pattern[str] | None = _VALUE_RUN) -> bool:
    """Return whether a text looks like a key. In doubt it is true, because it only decides what is shown.

    Args:
        text: The text.
        runs: Pattern of a long run of letters and digits; None checks only the beginning of the text.
    """
    return bool(_KEY_STARTS.search(text)) or any(_is_mixed(run) for run in (runs.findall(text) if runs else ()))


def _is_mixed(run: str) -> bool:
    return any(letter.islower() for letter in run) and any(letter.isdigit() for letter in run)


def names_secret(name: str) -> bool:
    """Return whether a name in the settings suggests a secret: ``keys``, ``api_key``, ``X-Auth-Token``."""
    return not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


@attrs.frozen
class Place:
    """A place in the settings. It creates errors, so that all of them show file, key and what was expected.

    Attributes:
        where: The file, or the source of the settings.
        path: The dotted key in it; empty for the whole.
        folder: The folder from which relative paths start; None for the working directory.
        name: The last key of the path, as it was written; empty for the whole.
        top: Names that belong at the top of the file, for a hint when they are written below a ``[table]``.
    """

    where: str
    path: str = ""
    folder: Path | None = None
    name: str = ""
    top: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.where}: {self.path}" if self.path else self.where

    def key(self, name: str) -> Place:
        """Return the place of a key in the table at this place."""
        path = f"{self.path}.{_written(name)}" if self.path else _written(name)
        return attrs.evolve(self, path=path, name=name)

    def item(self, index: int) -> Place:
        """Return the place of an item in the list at this place."""
        return attrs.evolve(self, path=f"{self.path}[{index}]")

    def wrong(self, value: object, expected: str, hint: str | None = None) -> SettingsError:
        """Return the error for an unexpected value; the value is shown if that is safe."""
        if (text := self._shown(value)) is not None:
            return SettingsError(f"{self} = {text}: expected {expected}.", hint=hint)
        return SettingsError(f"{self}: expected {expected}, not {_kind(value)}.", hint=hint)

    def missing(self, name: str, expected: str) -> SettingsError:
        """Return the error for a required key that is missing."""
        return SettingsError(f"{self.key(name)} is missing: expected {expected}.")

    def unknown(self, name: object, known: Iterable[str]) -> SettingsError:
        """Return the error for an unknown name, with the most similar known one."""
        import difflib

        if not isinstance(name, str):
            return SettingsError(f"{self}: every key must be text, not {_kind(name)}.")
        names = sorted(known)
        plain = {known_name.lower(): known_name for known_name in names}
        near = difflib.get_close_matches(name.lower().replace("-", "_"), list(plain), n=1)
        hint = f"{name} belongs at the top of the file, above the first [table]." if name in self.top else None
        return SettingsError(
            f"{self.key(name)} is unknown: expected {one_of(names) if names else 'no settings here'}.",
            hint=f"Did you mean {plain[near[0]]}?" if near else hint,
        )

    def may_show(self, value: object) -> bool:
        """Return whether an error may show a value at this place."""
        return self._shown(value) is not None

    def _shown(self, value: object) -> str | None:
        if names_secret(self.path) or not isinstance(value, bool | int | float | str):
            return None
        if isinstance(value, int) and value.bit_length() > 64:
            return None
        text = json.dumps(value)
        return None if len(text) > SHOWN_LENGTH or looks_secret(text) else text


def _written(name: str) -> str:
    if looks_secret(name, NAME_RUN) or len(name) > 2 * SHOWN_LENGTH:
        return "***"
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | int | float):
        return "true or false" if isinstance(value, bool) else "a number"
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


# Environment variables other than keys ----------------------------------------------------------------------------

_ENVIRONMENT = Place("the environment")


def wrong_variable(name: str, value: str, expected: str) -> SettingsError:
    """Return the error for a variable with an unexpected value: its name, its value, what was expected.

    The value is not shown if it may be a secret. Do not call it for an empty value, which counts as not set.
    """
    hint = f"Correct {name}, or unset it."
    if "@" in value:  # the text before it may be a password
        return SettingsError(f"{_ENVIRONMENT.key(name)}: expected {expected}.", hint=hint)
    return _ENVIRONMENT.key(name).wrong(value, expected, hint=hint)


def read_count(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return a variable's value as a whole number of at least 1; ``default`` if it is not set or empty.

    Raises:
        SettingsError: The variable has another value.
    """
    text = environment.get(name, "").strip()
    if not text:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if not number:
        raise wrong_variable(name, text, "a whole number of at least 1")
    return number
