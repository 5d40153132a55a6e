"""How contenders are compared: side by side in one process, by CPU time.

A shared machine runs at half its speed from one second to the next, so a figure taken alone says little. Contenders
therefore take short turns, many to a round, so that all of them meet the machine in the same states; and what counts
is how two of them differ **within** a round: the median of these differences or ratios. The order changes from turn
to turn (at random, from a fixed seed), because a contender that follows itself finds the processor's caches warm. For
the same reason the first operations of a short turn are not measured.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

CALIBRATION = "calibration loop"
REFERENCE = 1000.0
"""Microseconds that the calibration loop takes on the machine that normalised figures speak of; see ``machine``."""

Run = Callable[[int], Awaitable[object]]
"""Does an operation that many times."""


class Spread(msgspec.Struct, frozen=True):
    """What many samples of one figure say.

    Attributes:
        median: The sample in the middle.
        low: The smallest, or the end of the middle half.
        high: The largest, or the other end of the middle half.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Iterable[float]) -> Spread:
        """Return the spread of some samples."""
        ordered = sorted(samples)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    @classmethod
    def middle_half(cls, samples: Iterable[float]) -> Spread:
        """Return the spread of the middle half of some samples: for differences, of which a few are far off."""
        low, median, high = statistics.quantiles(samples, n=4)
        return cls(median, low, high)

    def times(self, factor: float) -> Spread:
        """Return the same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


class Contender(NamedTuple):
    """Somebody who does the work that is compared.

    Attributes:
        name: Its name.
        spend: Takes the number of operations to measure, and how many to do before them; returns the CPU time that
            the measured ones took together, in microseconds.
        share: Its part of the operations of a turn; less than 1 for the slow.
    """

    name: str
    spend: Callable[[int, int], Awaitable[float]]
    share: float = 1.0

    def operations(self, size: int) -> int:
        """Return how many operations it does when a whole turn has ``size``."""
        return max(1, round(size * self.share))


def contender(name: str, run: Run, share: float = 1.0) -> Contender:
    """Return a contender that works in this process: user and system time of all its threads count."""

    async def spend(number: int, before: int) -> float:
        await run(before)
        begin = time.process_time_ns()
        await run(number)
        return (time.process_time_ns() - begin) / 1000

    return Contender(name, spend, share)


class Samples:
    """The samples of all contenders, round by round.

    Args:
        by_name: For each contender its samples, in microseconds; the same number for all.
    """

    def __init__(self, by_name: dict[str, list[float]]) -> None:
        self._by_name = by_name

    def cost(self, name: str) -> Spread:
        """Return a contender's CPU time an operation, in microseconds."""
        return Spread.of(self._by_name[name])

    def ratio(self, name: str, baseline: str) -> Spread:
        """Return how many times the baseline's CPU time a contender took, round by round."""
        return Spread.of(own / other for own, other in self._pairs(name, baseline))

    def difference(self, name: str, baseline: str) -> Spread:
        """Return how many microseconds more than the baseline a contender took: the middle half of the rounds."""
        return Spread.middle_half(own - other for own, other in self._pairs(name, baseline))

    def normalised(self, name: str, baseline: str = "") -> Spread:
        """Return a cost, or a difference, as it would be if the calibration of each round had taken ``REFERENCE``."""
        others = self._by_name[baseline] if baseline else [0.0] * len(self._by_name[name])
        rounds = zip(self._by_name[name], others, self._by_name[CALIBRATION], strict=True)
        samples = [(own - other) / calibration * REFERENCE for own, other, calibration in rounds]
        return Spread.middle_half(samples) if baseline else Spread.of(samples)

    def _pairs(self, name: str, baseline: str) -> Iterable[tuple[float, float]]:
        return zip(self._by_name[name], self._by_name[baseline], strict=True)


async def compare(contenders: Sequence[Contender], *, rounds: int, turns: int, size: int, before: int = 0) -> Samples:
    """Let contenders take turns.

    The garbage collector stays on, because its cost belongs to the contender that creates the garbage. Objects that
    were loaded before are frozen: they are garbage of no round, and searching them would cost all contenders alike.

    Args:
        contenders: Who takes part.
        rounds: Samples of each.
        turns: Turns of each in a round.
        size: Operations of a turn.
        before: Operations of a turn that are not measured: they fill the processor's caches.
    """
    for one in contenders:
        await one.spend(0, 2 * one.operations(size))  # warm-up: imports, connections, caches, specialised byte code
    samples: dict[str, list[float]] = {one.name: [] for one in contenders}
    chance = random.Random(0)
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            gc.collect()
            orders = [chance.sample(contenders, len(contenders)) for _ in range(turns)]
            for name, cost in (await _round(orders, size, before)).items():
                samples[name].append(cost)
    finally:
        gc.unfreeze()
    return Samples(samples)


async def _round(orders: Sequence[Sequence[Contender]], size: int, before: int) -> dict[str, float]:
    """Return what an operation of each contender took in one round, given the order of each turn."""
    spent = {one.name: 0.0 for one in orders[0]}
    for order in orders:
        for one in order:
            spent[one.name] += await one.spend(one.operations(size), before)
    return {one.name: spent[one.name] / (len(orders) * one.operations(size)) for one in orders[0]}
