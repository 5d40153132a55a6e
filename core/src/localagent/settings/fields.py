"""What an attrs class says of the settings that fill it: keys, types, and what is expected, in words."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from localagent.settings.quantities import Reading

NOT_A_SETTING = {"localagent_setting": False}
"""Metadata of an attrs field that no settings file may fill."""


@attrs.frozen
class SettingField:
    """A field that settings may fill.

    Attributes:
        attribute: The attribute's name.
        kind: Its type, as annotated.
        required: Whether it has no default.
    """

    attribute: str
    kind: Any
    required: bool


def setting_fields(cls: type) -> Mapping[str, SettingField]:
    """Return the fields of an attrs class that settings may fill, by their keys."""
    return _fields(cls)


@functools.cache
def _fields(cls: type) -> Mapping[str, SettingField]:
    hints = get_type_hints(cls, include_extras=True)
    return {
        str(field.alias): SettingField(field.name, hints.get(field.name, field.type), field.default is attrs.NOTHING)
        for field in attrs.fields(cls)
        if field.init and field.metadata.get("localagent_setting", True)
    }


def reading_of(kind: Any) -> Reading | None:
    """Return how values of a type are read, where the type says so itself."""
    return next((item for item in getattr(kind, "__metadata__", ()) if isinstance(item, Reading)), None)


def one_of(names: Iterable[str]) -> str:
    """Return names as a phrase: ``a``, ``a or b``, ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def expected(kind: Any) -> str:
    """Say in a few words what a field of a type holds."""
    if (reading := reading_of(kind)) is not None:
        return reading.expected
    origin = get_origin(kind)
    if origin is Literal:
        return one_of(f'"{choice}"' for choice in get_args(kind))
    if origin in (Union, types.UnionType):
        return one_of(expected(member) for member in get_args(kind) if member is not types.NoneType)
    if attrs.has(kind):
        return str(getattr(kind, "expected_settings", f"a table with {', '.join(setting_fields(kind)) or 'no keys'}"))
    return _WORDS.get(origin or kind, "a value")


_WORDS: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    tuple: "a list",
    list: "a list",
    Sequence: "a list",
    dict: "a table",
    Mapping: "a table",
}
