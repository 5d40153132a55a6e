"""What a transport and a provider see of the clocks: a cold model may take the time that loading takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent.errors import ConnectFailed, LocalAgentError, Phase, PoolTimeout, UpstreamTimeout
from localagent.timing import NEVER, PhaseTimer, Timeouts, Timer
from localagent.timing.phases import phase_error


def entered(timeouts: Timeouts, *, streamed: bool, cold: bool | None) -> tuple[Any, float | None]:
    """Return the phase and the seconds that hold when a transport has sent a request; ``cold`` is set unless None."""

    async def enter() -> tuple[Any, float | None]:
        loop = asyncio.get_running_loop()
        timer = Timer(loop, NEVER)
        phases = PhaseTimer(timer, timeouts, "here", streamed=streamed)
        if cold is not None:
            phases.cold = cold
        phases.enter("first_token")
        limit = None if timer.until == NEVER else round(timer.until - loop.time(), 1)
        timer.close()
        return phases.phase, limit

    return asyncio.run(enter())


@pytest.mark.parametrize(
    ("timeouts", "streamed", "warm", "cold"),
    [
        (Timeouts(), True, ("first_token", 300.0), ("load", 300.0)),
        (Timeouts(load=600.0), True, ("first_token", 300.0), ("load", 600.0)),
        (Timeouts(load=60.0), True, ("first_token", 300.0), ("load", 60.0)),
        (Timeouts(load=60.0, first_token=5.0), True, ("first_token", 5.0), ("load", 60.0)),
        (Timeouts(load=60.0, first_token=90.0), True, ("first_token", 90.0), ("first_token", 90.0)),
        (Timeouts(load=60.0, first_token=60.0), True, ("first_token", 60.0), ("first_token", 60.0)),
        (Timeouts(load=60.0), False, ("first_token", None), ("first_token", None)),
        (Timeouts(load=60.0, first_token=5.0), False, ("first_token", 5.0), ("load", 60.0)),
    ],
    ids=str,
)
def test_loading_has_its_own_clock(timeouts: Timeouts, streamed: bool, warm: Any, cold: Any) -> None:
    """It stands in for ``first``, never shortens one that was set, and sets no limit where there was none."""
    assert entered(timeouts, streamed=streamed, cold=False) == warm
    assert entered(timeouts, streamed=streamed, cold=True) == cold


def test_a_model_is_warm_unless_a_provider_says_otherwise() -> None:
    """Most servers have their models loaded, so the limit of loading must not hold by default."""
    assert entered(Timeouts(load=60.0, first_token=5.0), streamed=True, cold=None) == ("first_token", 5.0)


@pytest.mark.parametrize(
    ("phase", "error", "sent"),
    [
        ("pool", PoolTimeout, False),
        ("dns", ConnectFailed, False),
        ("connect", UpstreamTimeout, False),
        ("tls", UpstreamTimeout, True),
        ("send", UpstreamTimeout, True),
        ("load", UpstreamTimeout, True),
        ("first_token", UpstreamTimeout, True),
        ("idle", UpstreamTimeout, True),
        ("total", UpstreamTimeout, True),
    ],
)
def test_each_phase_has_an_error_of_its_own(phase: Phase, error: type[LocalAgentError], sent: bool) -> None:
    """It names the instance and the phase, and says whether anything can have reached the server."""
    made = phase_error(phase, "vllm@here")
    assert (type(made), made.phase, made.advice.sent) == (error, phase, sent)
    assert "vllm@here" in made.message


@pytest.mark.virtual
@pytest.mark.parametrize("renamed", ["dns", "connect"])
async def test_the_error_is_that_of_the_phase_in_which_the_time_was_up(renamed: Phase) -> None:
    """A phase that is renamed keeps its clock; what the cancelled code renames while it cleans up counts no more."""
    timer = Timer(asyncio.get_running_loop(), NEVER)
    timer.enter()
    phases = PhaseTimer(timer, Timeouts(connect=1.0), "here", streamed=True)
    phases.enter("connect")
    phases.phase = renamed
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(5.0)
    phases.phase = "idle"
    found = timer.classify_cancellation()
    assert isinstance(found, LocalAgentError)
    assert found.phase == renamed
    timer.close()


@pytest.mark.virtual
async def test_a_share_of_the_calls_time_ends_in_the_phase_under_way() -> None:
    """An attempt that has used up its share says what it was waiting for."""
    timer = Timer(asyncio.get_running_loop(), NEVER)
    timer.enter()
    phases = PhaseTimer(timer, Timeouts(first_token=60.0), "here", streamed=True)
    timer.leave_time(2.0, phases)
    phases.enter("first_token")
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(5.0)
    found = timer.classify_cancellation()
    assert isinstance(found, UpstreamTimeout)
    assert found.phase == "first_token"
    timer.close()
