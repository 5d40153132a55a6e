"""Fills attrs classes from the tables of a settings file, and refuses invalid values with helpful errors.

The class defines everything: field names are the keys, annotations the types, defaults the defaults. A field may be
text, a number, ``bool``, ``Path``, a ``Literal``, one of the types of ``fields``, another attrs class, a tuple, list or
dict of these, a union, or ``Any`` (left unchanged). A class with its own notation has a class method
``from_settings(value, place)``.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from localagent.errors import SettingsError
from localagent.structuring.fields import expected, reading_of, setting_fields
from localagent.structuring.place import Place

T = TypeVar("T")


def structure(cls: type[T], mapping: Mapping[str, Any], *, where: str | Place) -> T:
    """Fill an attrs class from a table.

    Args:
        cls: The class.
        mapping: The table, as ``tomllib`` or a program makes it.
        where: The name of the source in errors, such as the file's name; or a place in it.

    Returns:
        The instance.

    Raises:
        SettingsError: A key is unknown or missing, or a value is not what was expected.
        TypeError: The class has a field of a type that settings do not support.
    """
    place = where if isinstance(where, Place) else Place(where)
    filled: T = read(cls, mapping, place)
    return filled


def read(kind: Any, value: object, place: Place) -> Any:
    """Convert a value that is written in the settings to a type.

    Args:
        kind: The type, as annotated.
        value: The written value.
        place: Where it is written.

    Raises:
        SettingsError: The value is not what was expected.
        TypeError: Settings do not support this type.
    """
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin is None and hasattr(kind, "from_settings"):
        return kind.from_settings(value, place)
    if origin is None and attrs.has(kind):
        return read_table(kind, value, place)
    reader = _READERS.get(origin or kind)
    if reader is None:
        raise TypeError(f"settings do not support the type {kind!r}")
    return reader(kind, value, place)


def read_table(cls: type[T], value: object, place: Place, also: Iterable[str] = ()) -> T:
    """Fill an attrs class, key by key.

    Args:
        cls: The class.
        value: A table, or an instance of the class, which is taken as it is.
        place: Where it is written.
        also: Further names to suggest when a name is unknown.
    """
    if isinstance(value, cls):
        return value
    fields = setting_fields(cls)
    table = _checked_table(value, place, expected(cls))
    for key in table:
        if key not in fields:
            raise place.unknown(key, {*fields, *also})
    arguments = {}
    for key, field in fields.items():
        if key in table:
            arguments[key] = read(field.kind, table[key], place.key(key))
        elif field.required:
            raise place.missing(key, expected(field.kind))
    return _made(cls, arguments, place)


def _made(cls: type[T], arguments: Mapping[str, Any], place: Place) -> T:
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:  # a validator of the class; attrs adds an attribute after the sentence
        text = str(error.args[0]) if error.args else type(error).__name__
    # Raised here and not above, so that the foreign error, which may quote a key, is not chained to this one.
    for key, argument in arguments.items():
        text = _without(argument, text, place.key(key))
    raise SettingsError(f"{place}: {text.rstrip('.')}.")


def _without(argument: object, text: str, place: Place) -> str:
    """Remove from a foreign sentence what an error must not show."""
    if isinstance(argument, str) and argument:
        return text if place.may_show(argument) else text.replace(argument, "***")
    if isinstance(argument, Mapping | list | tuple):
        for item in argument.values() if isinstance(argument, Mapping) else argument:
            text = _without(item, text, place)
    return text


def _checked_table(value: object, place: Place, wanted: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise place.wrong(value, wanted)
    for key in value:
        if not isinstance(key, str):
            raise place.unknown(key, ())
    return value


# One reader per kind of type -----------------------------------------------------------------------------------------


def _read_annotated(kind: Any, value: object, place: Place) -> Any:
    if (reading := reading_of(kind)) is None:
        return read(get_args(kind)[0], value, place)
    with contextlib.suppress(ValueError):
        return reading.read(value)
    raise place.wrong(value, reading.expected)


def _read_union(kind: Any, value: object, place: Place) -> Any:
    members = [member for member in get_args(kind) if member is not types.NoneType]
    if value is None and len(members) < len(get_args(kind)):
        return None
    errors = {}
    for member in members:
        try:
            return read(member, value, place)
        except SettingsError as error:
            errors[member] = error
    # For a table, the error of the only member that is a table is more helpful than the names of all members.
    telling = [error for member, error in errors.items() if _is_table(member)] if isinstance(value, Mapping) else []
    if len(errors) == 1 or len(telling) == 1:
        raise (telling or list(errors.values()))[0]
    raise place.wrong(value, expected(kind))


def _is_table(kind: Any) -> bool:
    return attrs.has(kind) or (get_origin(kind) or kind) in (dict, Mapping)


def _read_literal(kind: Any, value: object, place: Place) -> Any:
    for choice in get_args(kind):
        if type(value) is type(choice) and value == choice:
            return choice
    raise place.wrong(value, expected(kind))


def _read_list(kind: Any, value: object, place: Place) -> Any:
    if not isinstance(value, list | tuple):
        raise place.wrong(value, expected(list))
    member = (get_args(kind) or (Any,))[0]
    items = [read(member, item, place.item(index)) for index, item in enumerate(value)]
    return items if (get_origin(kind) or kind) is list else tuple(items)


def _read_dict(kind: Any, value: object, place: Place) -> dict[str, Any]:
    table = _checked_table(value, place, expected(dict))
    member = (get_args(kind) or (str, Any))[1]
    return {key: read(member, item, place.key(key)) for key, item in table.items()}


def _read_plain(kind: Any, value: object, place: Place) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise place.wrong(value, expected(kind))
    return value


def _read_float(kind: Any, value: object, place: Place) -> float:
    # A comparison is exact for whole numbers of any length; a conversion is not. No comparison with NaN is true.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise place.wrong(value, expected(kind))
    return float(value)


def _read_path(kind: Any, value: object, place: Place) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise place.wrong(value, expected(kind))
    with contextlib.suppress(RuntimeError):  # "~name", and there is no such user
        return (place.folder or Path()) / Path(value).expanduser()
    raise place.wrong(value, "a path in a home folder that exists")


_READERS: Mapping[Any, Callable[[Any, object, Place], Any]] = {
    Annotated: _read_annotated, Union: _read_union, types.UnionType: _read_union, Literal: _read_literal,
    tuple: _read_list, list: _read_list, Sequence: _read_list, dict: _read_dict, Mapping: _read_dict,
    str: _read_plain, bool: _read_plain, int: _read_plain, float: _read_float, Path: _read_path,
}  # fmt: skip
