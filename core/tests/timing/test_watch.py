"""What a transport and a provider see of the clocks: a cold model may take the time that loading takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent.timing.timer import NEVER, Clocks, Timer, Watch


def entered(clocks: Clocks, *, streamed: bool, cold: bool | None) -> tuple[Any, float | None]:
    """Return the phase and the seconds that hold when a transport has sent a request; ``cold`` is set unless None."""

    async def enter() -> tuple[Any, float | None]:
        loop = asyncio.get_running_loop()
        timer = Timer(loop, NEVER)
        watch = Watch(timer, clocks, streamed=streamed)
        if cold is not None:
            watch.cold = cold
        watch.enter("ttft")
        limit = None if timer.until == NEVER else round(timer.until - loop.time(), 1)
        timer.close()
        return watch.phase, limit

    return asyncio.run(enter())


@pytest.mark.parametrize(
    ("clocks", "streamed", "warm", "cold"),
    [
        (Clocks(), True, ("ttft", 300.0), ("load", 300.0)),
        (Clocks(load=600.0), True, ("ttft", 300.0), ("load", 600.0)),
        (Clocks(load=60.0), True, ("ttft", 300.0), ("load", 60.0)),
        (Clocks(load=60.0, first=5.0), True, ("ttft", 5.0), ("load", 60.0)),
        (Clocks(load=60.0, first=90.0), True, ("ttft", 90.0), ("ttft", 90.0)),
        (Clocks(load=60.0, first=60.0), True, ("ttft", 60.0), ("ttft", 60.0)),
        (Clocks(load=60.0), False, ("ttft", None), ("ttft", None)),
        (Clocks(load=60.0, first=5.0), False, ("ttft", 5.0), ("load", 60.0)),
    ],
    ids=str,
)
def test_loading_has_its_own_clock(clocks: Clocks, streamed: bool, warm: Any, cold: Any) -> None:
    """It stands in for ``first``, never shortens one that was set, and sets no limit where there was none."""
    assert entered(clocks, streamed=streamed, cold=False) == warm
    assert entered(clocks, streamed=streamed, cold=True) == cold


def test_a_model_is_warm_unless_a_provider_says_otherwise() -> None:
    """Most servers have their models loaded, so the limit of loading must not hold by default."""
    assert entered(Clocks(load=60.0, first=5.0), streamed=True, cold=None) == ("ttft", 5.0)
