"""Numbers with a unit or a range, as people write them in settings: durations, sizes, counts, shares.

A settings class annotates a field with one of these types and holds a plain number: ``ttl: Seconds = 3600.0``. The
annotation carries a ``Reading``, which tells ``structuring`` how the value is read and how it is written again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import attrs

# Each unit as an exact ratio, so that "3 ms" is the same number as 0.003.
DURATIONS = {"d": (86_400, 1), "h": (3_600, 1), "min": (60, 1), "s": (1, 1), "ms": (1, 1_000)}
SIZES = {
    "TiB": (2**40, 1), "GiB": (2**30, 1), "MiB": (2**20, 1), "KiB": (2**10, 1),
    "TB": (10**12, 1), "GB": (10**9, 1), "MB": (10**6, 1), "kB": (10**3, 1), "B": (1, 1),
}  # fmt: skip
DIGITS = 18  # the most that stand before or behind the point
_WRITTEN = re.compile(rf"([0-9]{{1,{DIGITS}}})(?:\.([0-9]{{1,{DIGITS}}}))? ?([A-Za-z]+)")


@attrs.frozen
class Reading:
    """How a value of a settings field is read; stands in the metadata of an ``Annotated`` type.

    Attributes:
        read: Makes the field's value of what is written; raises ``ValueError`` when it is not what is expected.
        expected: What is expected, in words that follow "expected"; the only text that an error shows.
        show: Makes what is written of the field's value; the inverse of ``read``.
    """

    read: Callable[[object], Any]
    expected: str
    show: Callable[[Any], Any] = lambda value: value


def read_seconds(value: object) -> float:
    """Return a duration in seconds: a number of seconds, or text such as ``"250 ms"``, ``"30 s"``, ``"5 min"``.

    Raises:
        ValueError: It is no duration, negative, or not finite.
    """
    if isinstance(value, str):
        number, divisor = _ratio(value, DURATIONS)
        return number / divisor
    return _number(value)


def read_bytes(value: object) -> int:
    """Return a size in bytes: a whole number of bytes, or text such as ``"64 KiB"``, ``"256 MiB"``, ``"1 GB"``.

    Raises:
        ValueError: It is no size, negative, or not a whole number of bytes.
    """
    if isinstance(value, str):
        number, divisor = _ratio(value, SIZES)
        size, rest = divmod(number, divisor)
        if rest:
            raise ValueError("not a whole number of bytes")
        return size
    return _whole(value, 0)


def show_seconds(seconds: float) -> str | float:
    """Return the text in the largest unit that ``read_seconds`` reads as exactly this duration, else the number."""
    for unit, (multiplier, divisor) in DURATIONS.items():
        count = seconds * divisor / multiplier
        if 1 <= count < 10**15 and count == int(count) and int(count) * multiplier / divisor == seconds:
            return f"{int(count)} {unit}"
    return seconds


def show_bytes(size: int) -> str | int:
    """Return the text in the largest unit that ``read_bytes`` reads as exactly this size, else the number."""
    for unit, (multiplier, _) in SIZES.items():  # whole numbers of any length: floats would round above 2**53
        count, rest = divmod(size, multiplier)
        if 1 <= count < 10**DIGITS and not rest:
            return f"{count} {unit}"
    return size


def _ratio(text: str, units: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or match[3] not in units:
        raise ValueError("no number with a unit")
    whole, fraction, unit = match[1], match[2] or "", match[3]
    multiplier, divisor = units[unit]
    return int(whole + fraction) * multiplier, 10 ** len(fraction) * divisor


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    # Comparing is exact for whole numbers of any length; converting them is not.
    if not 0 <= value <= sys.float_info.max:
        raise ValueError("negative or not finite")
    return float(value)


def _whole(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError("no whole number, or too small")
    return value


def _share(value: object) -> float:
    number = _number(value)
    if number > 1:
        raise ValueError("more than 1")
    return number


def _positive(value: object, read: Callable[[object], float]) -> float:
    number = read(value)
    if number == 0:
        raise ValueError("zero")
    return number


_DURATION = 'a duration such as 30, "250 ms", "30 s", "5 min", "1 h" or "2 d"'

Seconds = Annotated[float, Reading(read_seconds, _DURATION, show_seconds)]
PositiveSeconds = Annotated[
    float, Reading(partial(_positive, read=read_seconds), f"{_DURATION}, above zero", show_seconds)
]
Bytes = Annotated[int, Reading(read_bytes, 'a size such as 1024, "64 KiB", "256 MiB" or "1 GB"', show_bytes)]
Count = Annotated[int, Reading(partial(_whole, least=1), "a whole number from 1 up")]
Share = Annotated[float, Reading(_share, "a number from 0 to 1")]
Amount = Annotated[float, Reading(_number, "a number from 0 up")]
Positive = Annotated[float, Reading(partial(_positive, read=_number), "a number above zero")]
