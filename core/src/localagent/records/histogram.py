"""A histogram with log-linear buckets: constant memory, percentiles within 1 %, and exact merging.

Each octave (from one power of two to the next) has 64 buckets of equal width, so a bucket is at most 1/64 of its values
wide, and its middle is less than 0.8 % away from each of them. Histograms of several processes merge by adding counts.
The layout is that of HdrHistogram: https://hdrhistogram.github.io/HdrHistogram/.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import frexp, ldexp
from typing import Self

import msgspec

SMALLEST, LARGEST = 1e-9, 1e12
"""Values outside this range are counted in its first or last bucket; 4,500 buckets in all."""
_PER_OCTAVE = 64


class Histogram(msgspec.Struct):
    """The distribution of observed values, such as seconds.

    Example:
        from localagent import Histogram

        seconds = Histogram()
        for value in (0.1, 0.2, 0.3):
            seconds.observe(value)
        print(seconds.count, seconds.percentile(0.5))

    Attributes:
        buckets: The number of values in each bucket that has any; ``bounds`` gives the range of a key.
        count: The number of values.
        sum: The sum of the values.
        least: The smallest value; 1e300 in an empty histogram.
        most: The largest value; 0 in an empty histogram.

    Since: 0.1.
    """

    buckets: dict[int, int] = {}
    count: int = 0
    sum: float = 0.0
    least: float = 1e300
    most: float = 0.0

    def observe(self, value: float) -> None:
        """Count a value; negative ones count as 0."""
        if SMALLEST <= value <= LARGEST:
            fraction, exponent = frexp(value)
        else:
            value = max(value, 0.0)
            fraction, exponent = frexp(min(max(value, SMALLEST), LARGEST))
        key = (exponent << 6) + int(fraction * 128.0) - 64
        buckets = self.buckets
        buckets[key] = buckets.get(key, 0) + 1
        self.count += 1
        self.sum += value
        self.most = max(self.most, value)
        self.least = min(self.least, value)

    def merge(self, other: Histogram) -> None:
        """Add the values of another histogram."""
        buckets = self.buckets
        for key, count in other.buckets.items():
            buckets[key] = buckets.get(key, 0) + count
        self.count += other.count
        self.sum += other.sum
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    def percentile(self, share: float) -> float | None:
        """Return the value below which a share of the values lies, within 1 %; None when there are no values.

        Args:
            share: From 0 to 1, such as 0.99 for the 99th percentile.
        """
        rank = share * (self.count - 1)
        before = 0
        for key, count in sorted(self.buckets.items()):
            before += count
            if before > rank:
                low, high = bounds(key)
                return min(max((low + high) / 2, self.least), self.most)
        return None

    @property
    def mean(self) -> float | None:
        """The mean of the values; None when there are no values."""
        return self.sum / self.count if self.count else None

    def cumulative(self, limits: Iterable[float]) -> list[int]:
        """Return how many values are less than each limit; exact for limits that are bounds of buckets.

        Args:
            limits: Ascending limits; powers of two, and the halves between them, are bounds of buckets.
        """
        ordered = sorted(self.buckets.items())
        counts, total, place = [], 0, 0
        for limit in limits:
            while place < len(ordered) and bounds(ordered[place][0])[1] <= limit:
                total += ordered[place][1]
                place += 1
            counts.append(total)
        return counts

    def less(self, other: Histogram) -> Self:
        """Return the values that came after an earlier state of this histogram; ``least`` and ``most`` are kept."""
        later = {key: count - other.buckets.get(key, 0) for key, count in self.buckets.items()}
        return type(self)(
            {key: count for key, count in later.items() if count},
            self.count - other.count, max(0.0, self.sum - other.sum), self.least, self.most,
        )  # fmt: skip


def bounds(key: int) -> tuple[float, float]:
    """Return the bounds of a bucket: it holds values from the first up to, but not including, the second."""
    exponent, place = key >> 6, key & 63
    return ldexp(_PER_OCTAVE + place, exponent - 7), ldexp(_PER_OCTAVE + place + 1, exponent - 7)
