"""The ways in which the answers of a hook become one, and what becomes of steps that do not answer well."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from made_steps import CLOCK, both, gives, sleeps_for, step_of, timer

from localagent.errors import InternalError, RateLimited, UpstreamTimeout
from localagent.pipeline import Step
from localagent.pipeline.dispatch import first, first_now, notify, notify_all, pipe, pipe_now
from localagent.pipeline.failures import PluginFailures
from localagent.plugin_api import OnRaise

# PIPE -----------------------------------------------------------------------------------------------------------------


async def test_a_pipe_hands_on_what_the_last_step_returned() -> None:
    """None leaves it as it is."""
    steps = [
        step_of(lambda call, value: value + 1),
        step_of(lambda call, value: None),
        step_of(lambda call, value: value * 10),
    ]
    assert await pipe(steps, timer(), "call", 1) == 20
    assert pipe_now(steps, "call", 1) == 20
    assert await pipe([], timer(), "call", 1) == 1


# FIRST ----------------------------------------------------------------------------------------------------------------


@both
async def test_the_first_result_wins(awaits: bool) -> None:
    """Later steps are not asked."""
    steps = [step_of(gives(value, awaits=awaits)) for value in (None, 2, AssertionError())]
    assert await first(steps, timer(), "x") == (2, steps[1])
    assert await first(steps[:1], timer(), "x") == (None, None)


@both
async def test_a_step_that_may_be_skipped_is_skipped(awaits: bool) -> None:
    """Where the hook says so, a step that raises counts as silent: counted, logged, and the next one is asked."""
    failures = PluginFailures(CLOCK)
    steps = [
        step_of(gives(value, awaits=awaits), OnRaise.SKIP, failures=failures)
        for value in (ValueError(), "wrong", asyncio.CancelledError() if awaits else KeyError(), 2)
    ]
    assert await first(steps, timer(), "x") == (2, steps[3])
    assert failures.counts[("rate-x", "some_hook")] == 3


def test_a_plain_hook_skips_as_well() -> None:
    """``first_now`` is the same without an await."""
    failures = PluginFailures(CLOCK)
    steps = [step_of(gives(value, awaits=False), OnRaise.SKIP, failures=failures) for value in (ValueError(), None, 2)]
    assert first_now(steps, "x") == 2
    assert first_now([], "x") is None
    assert sum(failures.counts.values()) == 1
    with pytest.raises(InternalError):
        first_now([step_of(gives(ValueError(), awaits=False))], "x")


@pytest.mark.virtual
async def test_the_deadline_is_not_skipped() -> None:
    """A step in which the call's time ran out is no miss: nothing more can be asked."""
    clock = timer(asyncio.get_running_loop().time() + 0.5)
    steps = [step_of(sleeps_for(10.0), OnRaise.SKIP, limit=5.0), step_of(gives(2, awaits=True), OnRaise.SKIP)]
    with pytest.raises(UpstreamTimeout):
        await first(steps, clock, "x")
    clock.close()


# GATE -----------------------------------------------------------------------------------------------------------------


@both
async def test_a_gate_asks_until_one_refuses(awaits: bool) -> None:
    """All must admit; the first refusal is given, with its step."""
    asked: list[int] = []

    def gatekeeper(number: int, answer: int | None) -> Step:
        def now(value: Any) -> int | None:
            asked.append(number)
            return answer

        async def later(value: Any) -> int | None:
            return now(value)

        return step_of(later if awaits else now)

    steps = [gatekeeper(1, None), gatekeeper(2, 7), gatekeeper(3, None)]
    assert await first(steps, timer(), "x") == (7, steps[1])
    assert asked == [1, 2]
    assert await first([steps[0], steps[2]], timer(), "x") == (None, None)


def test_a_plain_gate_gives_the_first_objection() -> None:
    """``first_now`` is the same without an await."""
    assert first_now([step_of(gives(value, awaits=False)) for value in (None, 5, 6)], "x") == 5
    assert first_now([], "x") is None


# NOTIFY ---------------------------------------------------------------------------------------------------------------


@both
async def test_all_are_told_whatever_one_does(awaits: bool) -> None:
    """A step that raises is counted; the others hear anyway, and so does not the user."""
    failures, heard = PluginFailures(CLOCK), []

    def listener(error: Exception | None) -> Step:
        def now(value: Any) -> None:
            heard.append(value)
            if error is not None:
                raise error

        async def later(value: Any) -> None:
            now(value)

        return step_of(later if awaits else now, OnRaise.ISOLATE, failures=failures)

    steps = [listener(ValueError()), listener(RateLimited("no")), listener(None)]
    if awaits:
        await notify_all(steps, timer(), "x")
    else:
        notify(steps, "x")
    assert (heard, failures.counts[("rate-x", "some_hook")]) == (["x"] * 3, 2)


def test_a_listener_that_raises_a_cancellation_is_isolated() -> None:
    """What runs in clean-up must not be ended by a future that a step looked at."""
    heard: list[Any] = []
    steps = [
        step_of(gives(asyncio.CancelledError(), awaits=False), OnRaise.ISOLATE),
        step_of(heard.append, OnRaise.ISOLATE),
    ]
    notify(steps, "x")
    assert heard == ["x"]
