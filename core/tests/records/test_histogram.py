"""``Histogram``: percentiles within 1 % of the exact values, merging without loss, constant memory."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import msgspec
import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from localagent import Histogram
from localagent.records.histogram import LARGEST, SMALLEST, bounds

DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "uniform": lambda source: source.uniform(0.001, 10.0),
    "exponential": lambda source: source.expovariate(4.0),
    "lognormal": lambda source: source.lognormvariate(-2.0, 1.5),
    "pareto": lambda source: source.paretovariate(1.5) / 100,
    "normal": lambda source: abs(source.gauss(0.3, 0.05)),
    "two peaks": lambda source: source.gauss(0.002, 0.0001) if source.random() < 0.7 else source.gauss(2.0, 0.2),
    "weibull": lambda source: source.weibullvariate(0.5, 0.8),
    "constant": lambda source: 0.25,
    "few values": lambda source: source.choice([0.001, 0.01, 0.1, 1.0, 10.0]),
    "microseconds": lambda source: source.gammavariate(2.0, 3e-6),
}
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


def observed(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    return histogram


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentiles_are_within_one_percent(name: str) -> None:
    """Of the exact value, and of an oracle that is itself within 0.1 % of it."""
    source = random.Random(name)
    values = [DISTRIBUTIONS[name](source) for _ in range(20_000)]
    histogram, oracle = observed(values), DDSketch(0.001)
    for value in values:
        oracle.add(value)

    exact = sorted(values)
    for share in SHARES:
        found = histogram.percentile(share)
        at = share * (len(exact) - 1)
        low, high = exact[math.floor(at)], exact[math.ceil(at)]
        assert found is not None
        assert low * 0.99 <= found <= high * 1.01, share
        reference = oracle.get_quantile_value(share)
        assert reference is not None
        assert found == pytest.approx(reference, rel=0.0111) or low < found < high, share


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_four_merged_are_one(name: str) -> None:
    """Histograms of four processes add up to that of one that saw all values."""
    source = random.Random(name)
    values = [DISTRIBUTIONS[name](source) for _ in range(4000)]
    merged = Histogram()
    for part in range(4):
        merged.merge(observed(values[part::4]))

    one = observed(values)
    assert merged.buckets == one.buckets
    assert (merged.count, merged.least, merged.most) == (one.count, one.least, one.most)
    assert merged.sum == pytest.approx(one.sum)
    assert [merged.percentile(share) for share in SHARES] == [one.percentile(share) for share in SHARES]


@given(st.floats(allow_nan=False))
def test_a_value_is_in_its_bucket(value: float) -> None:
    """Every bucket holds its lower bound and not its upper one; values outside the range are in the outermost."""
    histogram = observed([value])
    (key,) = histogram.buckets
    low, high = bounds(key)
    assert low <= min(max(value, SMALLEST), LARGEST) < high
    assert (high - low) / low <= 1 / 64


def test_memory_is_bounded() -> None:
    """Whatever the values are, there are at most 4,500 buckets."""
    source = random.Random(1)
    histogram = observed([source.uniform(0.5, 1.0) * 10 ** source.uniform(-30, 30) for _ in range(100_000)])
    assert len(histogram.buckets) < 4500


def test_counts_below_powers_of_two_are_exact() -> None:
    """Exporters show them as buckets of their own."""
    source = random.Random(2)
    values = [source.expovariate(1.0) for _ in range(5000)]
    limits = [2.0**exponent for exponent in range(-10, 6)]
    expected = [sum(value < limit for value in values) for limit in limits]
    assert observed(values).cumulative(limits) == expected


def test_an_empty_histogram_has_no_percentiles() -> None:
    """None, and not 0."""
    assert (Histogram().percentile(0.5), Histogram().mean) == (None, None)


def test_extremes_are_exact() -> None:
    """The first and the last percentile are the smallest and the largest value."""
    histogram = observed([0.3, 0.1, 0.7])
    assert (histogram.percentile(0.0), histogram.percentile(1.0)) == (
        pytest.approx(0.1, rel=0.01), pytest.approx(0.7, rel=0.01),
    )  # fmt: skip
    assert (histogram.least, histogram.most) == (0.1, 0.7)


def test_what_came_later() -> None:
    """The difference of two states has the values between them."""
    earlier = observed([0.1, 0.2])
    later = observed([0.1, 0.2, 0.4, 0.4])
    difference = later.less(earlier)
    assert (difference.count, difference.sum) == (2, pytest.approx(0.8))
    assert difference.percentile(0.5) == pytest.approx(0.4, rel=0.01)


def test_it_goes_through_json() -> None:
    """Processes send it to each other."""
    histogram = observed([0.001, 2.0])
    assert msgspec.json.decode(msgspec.json.encode(histogram), type=Histogram, strict=False) == histogram
