"""Slots of an instance within the slots of all: none is lost, no matter when a request leaves."""

from __future__ import annotations

import asyncio
import random

import pytest

from localagent_connect_aiohttp import Permits
from localagent_connect_aiohttp.permits import PoolPermits


async def hold(permits: PoolPermits, turns: int, held: list[int]) -> None:
    if not permits.take():
        await permits.wait()
    held[0] += 1
    held[1] = max(held)
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
    finally:
        held[0] -= 1
        permits.give()


async def test_all_instances_together_keep_the_total() -> None:
    """Two instances of five slots each, six in total: six at a time, the others wait and are counted."""
    total = Permits(6)
    one, two = PoolPermits(5, total), PoolPermits(5, total)
    held = [0, 0]
    tasks = [asyncio.ensure_future(hold(permits, 3, held)) for permits in (one, two) for _ in range(10)]
    await asyncio.sleep(0)
    assert (one.used, two.used, one.waiting, two.waiting) == (5, 1, 5, 9)
    await asyncio.gather(*tasks)
    assert held == [0, 6]
    assert (one.used, two.used, total.used) == (0, 0, 0)


async def test_a_full_instance_blocks_no_other() -> None:
    """Who waits for an instance holds no slot of the total."""
    total = Permits(2)
    full, other = PoolPermits(1, total), PoolPermits(1, total)
    assert full.take()
    waiting = asyncio.ensure_future(full.wait())
    await asyncio.sleep(0)
    assert other.take()
    full.give()
    await waiting
    full.give()
    other.give()
    assert total.used == 0


@pytest.mark.parametrize("seed", range(20))
async def test_leaving_at_any_moment_loses_no_slot(seed: int) -> None:
    """Random holders, some of whom are cancelled while they wait or hold: all slots are free in the end."""
    chance = random.Random(seed)
    total = Permits(3)
    instances = [PoolPermits(2, total) for _ in range(3)]
    held = [0, 0]
    tasks = []
    for _ in range(200):
        tasks.append(asyncio.ensure_future(hold(chance.choice(instances), chance.randrange(4), held)))
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
        if chance.random() < 0.7:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held[0] == 0
    assert held[1] <= 3
    assert [(permits.used, permits.waiting) for permits in instances] == [(0, 0)] * 3
    assert (total.used, total.waiting) == (0, 0)
