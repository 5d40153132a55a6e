"""The arithmetic of the benchmarks: a figure that is wrong is worse than none."""

from __future__ import annotations

import asyncio

import pytest
from measure import CALIBRATION, REFERENCE, Contender, Samples, Spread, compare, contender


def scripted(
    name: str, costs: list[float], share: float = 1.0, done: list[tuple[str, int, int]] | None = None
) -> Contender:
    """A contender whose operations take what is written, the same for all of a turn; the first is the warm-up's."""
    left = iter(costs)

    async def spend(number: int, before: int) -> float:
        if done is not None:
            done.append((name, number, before))
        return next(left) * number

    return Contender(name, spend, share)


def test_a_round_is_the_mean_of_its_turns() -> None:
    """Two turns of 10 and 30 us an operation make a round of 20 us."""
    samples = asyncio.run(compare([scripted("a", [0, 10, 30, 5, 5])], rounds=2, turns=2, size=7))

    assert samples.cost("a") == Spread(12.5, 5.0, 20.0)


def test_a_slow_contender_does_fewer_operations() -> None:
    """The share scales the operations of a turn, never below one; the figure stays that of one operation."""
    done: list[tuple[str, int, int]] = []
    pair = [scripted("a", [0, 6], done=done), scripted("b", [0, 8], 0.01, done)]

    samples = asyncio.run(compare(pair, rounds=1, turns=1, size=10, before=3))

    assert sorted(done) == [("a", 0, 20), ("a", 10, 3), ("b", 0, 2), ("b", 1, 3)]
    assert samples.cost("b").median == 8.0


def test_contenders_change_their_order() -> None:
    """Nobody always comes after the same neighbour."""
    done: list[tuple[str, int, int]] = []
    names = ("a", "b", "c")

    asyncio.run(compare([scripted(name, [0] * 21, done=done) for name in names], rounds=1, turns=20, size=1))

    turns = {tuple(name for name, *_ in done[start : start + 3]) for start in range(3, len(done), 3)}
    assert len(turns) > 3


def test_relations_are_taken_round_by_round() -> None:
    """A machine that runs at half its speed in one round changes neither a ratio nor a normalised figure."""
    samples = Samples({"a": [10, 20, 10], "b": [15, 30, 15], CALIBRATION: [500, 1000, 500]})

    assert samples.ratio("b", "a") == Spread(1.5, 1.5, 1.5)
    assert samples.normalised("a") == Spread(0.02 * REFERENCE, 0.02 * REFERENCE, 0.02 * REFERENCE)
    assert samples.normalised("b", "a").median == pytest.approx(0.01 * REFERENCE)


def test_a_difference_shows_the_middle_half_of_the_rounds() -> None:
    """One round that is far off widens nothing."""
    samples = Samples({"a": [10.0] * 7, "b": [11, 11, 12, 12, 13, 13, 900]})

    assert samples.difference("b", "a") == Spread(2.0, 1.0, 3.0)


def test_a_contender_counts_its_own_operations_only() -> None:
    """What is done before the measured operations is done first."""
    done: list[int] = []

    async def run(number: int) -> None:
        done.append(number)

    async def main() -> float:
        return await contender("a", run).spend(5, 2)

    assert asyncio.run(main()) >= 0
    assert done == [2, 5]
