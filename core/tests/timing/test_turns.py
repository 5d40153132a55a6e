"""Steps that take long are kept apart: others get turns of the event loop between them, which are counted here."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from localagent.timing import let_others_run
from localagent.timing.work import EACH, MOST
from localagent_testing.turns import Turns, counting_turns


@pytest.mark.parametrize("size", [0, 1000, EACH - 1])
def test_a_short_step_waits_for_nothing(size: int) -> None:
    """It does not even need an event loop."""
    with pytest.raises(StopIteration):
        let_others_run(size).send(None)


@pytest.mark.parametrize(("size", "turns"), [(EACH, 1), (3 * EACH, 3), (MOST * EACH, MOST), (1000 * EACH, MOST)])
async def test_others_get_turns_before_a_long_step_as_it_is_long(size: int, turns: int) -> None:
    """One for each MB, and no more than a short request needs."""
    with counting_turns() as counted:
        await let_others_run(size)
        assert counted.count == turns


async def test_long_steps_of_several_tasks_are_kept_apart() -> None:
    """Anyone who takes them: each comes so many turns behind the one before."""
    taken: list[int] = []

    async def work(counted: Turns) -> None:
        for _ in range(3):
            await let_others_run(MOST * EACH)
            taken.append(counted.count)

    with counting_turns() as counted:
        await asyncio.gather(*(work(counted) for _ in range(4)))
    assert len(taken) == 12
    assert all(later - earlier >= MOST for earlier, later in pairwise(taken))


async def test_who_leaves_lets_the_next_one_on() -> None:
    """A task that is cancelled while it waits for its turn, and one that is cancelled in it."""
    first, second, third = (asyncio.create_task(let_others_run(MOST * EACH)) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await third
    assert (first.cancelled(), second.cancelled()) == (True, True)


def test_each_event_loop_has_turns_of_its_own() -> None:
    """One after another, with tasks that wait for each other in each."""

    async def two() -> None:
        await asyncio.gather(let_others_run(MOST * EACH), let_others_run(MOST * EACH))

    asyncio.run(two())
    asyncio.run(two())
