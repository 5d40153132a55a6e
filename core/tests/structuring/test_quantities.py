"""Durations, sizes and counts, as people write them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.settings import read_seconds, reading_of
from localagent.structuring.fields import (
    DURATIONS,
    SIZES,
    Amount,
    Bytes,
    Count,
    Positive,
    PositiveSeconds,
    Seconds,
    Share,
    read_bytes,
)


def accepts(kind: Any, value: object) -> bool:
    reading = reading_of(kind)
    assert reading is not None
    try:
        reading.read(value)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(30, 30.0), (1.5, 1.5), (0, 0.0), ("30 s", 30.0), ("250 ms", 0.25), ("3 ms", 0.003), ("5 min", 300.0),
     ("1 h", 3600.0), ("2 d", 172_800.0), ("1.5h", 5400.0), (" 30s ", 30.0)],
)  # fmt: skip
def test_a_duration_is_a_number_of_seconds_or_a_number_with_a_unit(written: object, seconds: float) -> None:
    """Seconds, milliseconds, minutes, hours and days; a space before the unit is welcome."""
    assert read_seconds(written) == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [(1024, 1024), ("256 MiB", 256 * 2**20), ("64 KiB", 65_536), ("1 GB", 10**9), ("1.5 MiB", 1_572_864), ("7 B", 7),
     ("1 kB", 1000), ("2TiB", 2**41), ("0.001 kB", 1)],
)  # fmt: skip
def test_a_size_is_a_number_of_bytes_or_a_number_with_a_unit(written: object, size: int) -> None:
    """KiB, MiB, GiB and TiB count in 1024, kB, MB, GB and TB in 1000."""
    assert read_bytes(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "30", "s", "30 S", "30 sec", "5 m", "-1 s", "1e3 s", "1,5 s", "1. s", ".5 s", "1 h 30 min", "\u0663 s",
     "30  s", "inf s", True, None, [], -1, -0.5, math.nan, math.inf, 10**400, "9" * 500 + " s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(written: object) -> None:
    """Text without a unit, unknown units, several units, negative and endless numbers."""
    with pytest.raises(ValueError, match=r"."):
        read_seconds(written)


@pytest.mark.parametrize("written", ["", "1024", "1 mb", "1 KB", "0.3 KiB", "1.5 B", 1.0, 1.5, True, None, -1, "-1 B"])
def test_what_is_no_size_is_refused(written: object) -> None:
    """Text without a unit, parts of a byte, and spellings that could be meant in two ways."""
    with pytest.raises(ValueError, match=r"."):
        read_bytes(written)


@given(number=st.integers(0, 10**15), unit=st.sampled_from(sorted(DURATIONS)))
def test_a_duration_is_the_nearest_float_of_what_is_written(number: int, unit: str) -> None:
    """No rounding on the way: 3 ms is the same number as 0.003."""
    assert read_seconds(f"{number} {unit}") == float(number * Fraction(*DURATIONS[unit]))


@given(number=st.integers(0, 10**15), unit=st.sampled_from(sorted(SIZES)))
def test_a_size_is_exact(number: int, unit: str) -> None:
    """Large sizes lose no byte."""
    assert read_bytes(f"{number} {unit}") == number * SIZES[unit][0]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Seconds, [0, "0 s", 1], [-1, "x"]),
        (PositiveSeconds, [0.001, "1 ms"], [0, "0 s", -1]),
        (Bytes, [0, "0 B"], [-1, 0.5]),
        (Count, [1, 10**6], [0, -1, 1.0, True, "1"]),
        (Amount, [0, 0.5, 10], [-0.1, math.inf, "1", True]),
        (Positive, [0.1, 2], [0, -1, math.nan, "2"]),
        (Share, [0, 0.2, 1], [-0.1, 1.1, "20 %"]),
    ],
)
def test_every_type_has_its_range(kind: Any, good: list[object], bad: list[object]) -> None:
    """A timeout of nothing, a share above one or a count of zero is a mistake."""
    assert [accepts(kind, value) for value in good] == [True] * len(good)
    assert [accepts(kind, value) for value in bad] == [False] * len(bad)
