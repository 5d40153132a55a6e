"""The settings fields of an attrs class: keys, types, and descriptions of the expected values.

The types include numbers with a unit or a range, as people write them: durations, sizes, counts, shares. A settings
class annotates a field with one of them, and its value is a plain number: ``ttl: Seconds = 3600.0``. The annotation
carries a ``Reading``, which defines how the value is read.
"""

from __future__ import annotations

import functools
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

NOT_A_SETTING = {"localagent_setting": False}
"""Metadata of an attrs field that a settings file must not fill."""


@attrs.frozen
class Reading:
    """How a value of a settings field is read; part of the metadata of an ``Annotated`` type.

    Attributes:
        read: Converts the written value to the field's value; raises ``ValueError`` when it is not what is expected.
        expected: The expected value, in words that follow "expected"; the only text that an error shows.
        units: The accepted units, the largest first, each as an exact ratio.
    """

    read: Callable[[object], Any]
    expected: str
    units: Mapping[str, tuple[int, int]] = attrs.field(factory=dict, eq=False)


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
    """Return the ``Reading`` of a type; None if it has none."""
    return next((item for item in getattr(kind, "__metadata__", ()) if isinstance(item, Reading)), None)


def one_of(names: Iterable[str]) -> str:
    """Return names as a phrase: ``a``, ``a or b``, ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def expected(kind: Any) -> str:
    """Describe in a few words the values of a type."""
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
    str: "text", bool: "true or false", int: "a whole number", float: "a number", Path: "a path",
    tuple: "a list", list: "a list", Sequence: "a list", dict: "a table", Mapping: "a table",
}  # fmt: skip


# Numbers with a unit or a range ---------------------------------------------------------------------------------------

# Each unit as an exact ratio, so that "3 ms" is the same number as 0.003.
DURATIONS = {"d": (86_400, 1), "h": (3_600, 1), "min": (60, 1), "s": (1, 1), "ms": (1, 1_000)}
SIZES = {
    "TiB": (2**40, 1), "GiB": (2**30, 1), "MiB": (2**20, 1), "KiB": (2**10, 1),
    "TB": (10**12, 1), "GB": (10**9, 1), "MB": (10**6, 1), "kB": (10**3, 1), "B": (1, 1),
}  # fmt: skip
DIGITS = 18  # maximum number before and after the decimal point
_WRITTEN = re.compile(rf"([0-9]{{1,{DIGITS}}})(?:\.([0-9]{{1,{DIGITS}}}))? ?([A-Za-z]+)")


def read_seconds(value: object) -> float:
    """Return a duration in seconds: a number of seconds, or text such as ``"250 ms"``, ``"30 s"``, ``"5 min"``.

    Raises:
        ValueError: It is not a duration, negative, or not finite.
    """
    if isinstance(value, str):
        number, divisor = _ratio(value, DURATIONS)
        return number / divisor
    return _number(value)


def read_bytes(value: object) -> int:
    """Return a size in bytes: a whole number of bytes, or text such as ``"64 KiB"``, ``"256 MiB"``, ``"1 GB"``.

    Raises:
        ValueError: It is not a size, negative, or not a whole number of bytes.
    """
    if isinstance(value, str):
        number, divisor = _ratio(value, SIZES)
        size, rest = divmod(number, divisor)
        if rest:
            raise ValueError("not a whole number of bytes")
        return size
    return _whole(value, 0)


def _ratio(text: str, units: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or match[3] not in units:
        raise ValueError("no number with a unit")
    whole, fraction, unit = match[1], match[2] or "", match[3]
    multiplier, divisor = units[unit]
    return int(whole + fraction) * multiplier, 10 ** len(fraction) * divisor


def _number(value: object, most: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    # A comparison is exact for whole numbers of any length; a conversion is not.
    if not 0 <= value <= (sys.float_info.max if most is None else most):
        raise ValueError("negative, too large, or not finite")
    return float(value)


def _whole(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError("no whole number, or too small")
    return value


def _positive(value: object, read: Callable[[object], float]) -> float:
    number = read(value)
    if number == 0:
        raise ValueError("zero")
    return number


_DURATION = 'a duration such as 30, "250 ms", "30 s", "5 min", "1 h" or "2 d"'

Seconds = Annotated[float, Reading(read_seconds, _DURATION, DURATIONS)]
PositiveSeconds = Annotated[
    float, Reading(functools.partial(_positive, read=read_seconds), f"{_DURATION}, above zero", DURATIONS)
]
Bytes = Annotated[int, Reading(read_bytes, 'a size such as 1024, "64 KiB", "256 MiB" or "1 GB"', SIZES)]
Count = Annotated[int, Reading(functools.partial(_whole, least=1), "a whole number of at least 1")]
Share = Annotated[float, Reading(functools.partial(_number, most=1.0), "a number from 0 to 1")]
Amount = Annotated[float, Reading(_number, "a number of at least 0")]
Positive = Annotated[float, Reading(functools.partial(_positive, read=_number), "a number above zero")]
