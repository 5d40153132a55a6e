"""The ways in which the answers of a hook become one, and what becomes of steps that do not answer well."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest

from localagent.errors import InternalError, RateLimited, UpstreamTimeout
from localagent.pipeline.pipeline import Troubles
from localagent.pipeline.plan import (
    Plan,
    Step,
    ask,
    first,
    first_now,
    notify,
    notify_all,
    pipe,
    pipe_now,
)
from localagent.plugin_api.kinds import HookSpec, Kind, OnRaise, hook
from localagent.timing.timer import NEVER, Timer
from localagent_testing import ManualClock

CLOCK = ManualClock()


def spec_of(on_raise: OnRaise = OnRaise.CALL, result: tuple[type, ...] = (int,)) -> HookSpec:
    @hook(Kind.FIRST, phase="test", on_raise=on_raise, result=result)
    async def some_hook(value: Any) -> Any: ...

    spec: HookSpec = some_hook.hook_spec  # type: ignore[attr-defined]
    return spec


def step_of(
    function: Callable[..., Any],
    on_raise: OnRaise = OnRaise.CALL,
    *,
    limit: float = 1.0,
    troubles: Troubles | None = None,
) -> Step:
    awaits = inspect.iscoroutinefunction(function)
    return Step(function, "rate-x", spec_of(on_raise), awaits, limit, "by name", troubles or Troubles(CLOCK))


def gives(value: Any, *, awaits: bool) -> Callable[..., Any]:
    """A step that returns a value, or raises it."""

    def now(*arguments: Any) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    async def later(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return now()

    return later if awaits else now


def timer(deadline: float = NEVER) -> Timer:
    made = Timer(asyncio.get_running_loop(), deadline)
    made.enter()
    return made


both = pytest.mark.parametrize("awaits", [False, True], ids=["plain", "awaiting"])

# One step -------------------------------------------------------------------------------------------------------------


@both
async def test_a_result_of_the_hooks_type_is_given(awaits: bool) -> None:
    """None and the declared types pass."""
    for value in (3, None):
        assert await ask(step_of(gives(value, awaits=awaits)), timer(), "x") == value


@both
async def test_a_result_of_another_type_names_the_plugin(awaits: bool) -> None:
    """And what was expected."""
    with pytest.raises(InternalError, match="Plugin rate-x returned str from some_hook; expected int or None"):
        await ask(step_of(gives("three", awaits=awaits)), timer(), "x")


async def test_a_plain_step_that_returns_a_coroutine_leaves_none_behind() -> None:
    """A forgotten ``await`` is a wrong result; the coroutine is closed, so that Python does not warn of it."""

    async def forgotten() -> None: ...

    with pytest.raises(InternalError, match="returned coroutine"):
        await ask(step_of(lambda value: forgotten()), timer(), "x")


@both
async def test_an_exception_becomes_an_error_that_names_the_plugin(awaits: bool) -> None:
    """The type of the exception is shown, not its text, which may hold a prompt."""
    with pytest.raises(InternalError) as caught:
        await ask(step_of(gives(ValueError("secret"), awaits=awaits)), timer(), "x")
    assert caught.value.message == "Plugin rate-x failed in some_hook: ValueError."
    assert isinstance(caught.value.__cause__, ValueError)


@both
async def test_an_error_of_the_tree_passes_as_it_is(awaits: bool) -> None:
    """A plugin that says why is believed."""
    error = RateLimited("Slowly.")
    with pytest.raises(RateLimited) as caught:
        await ask(step_of(gives(error, awaits=awaits)), timer(), "x")
    assert caught.value is error


@pytest.mark.virtual
async def test_a_step_over_its_limit_is_treated_as_raised() -> None:
    """The message names plugin, limit and the setting; the wait ends then, and the task is not cancelled."""
    loop, clock = asyncio.get_running_loop(), timer()
    begun = loop.time()
    with pytest.raises(InternalError, match=r"rate-x took longer than 0\.5 s.*Raise \[limits\] some_hook"):
        await ask(step_of(sleeps_for(10.0), limit=0.5), clock, "x")
    assert loop.time() - begun == pytest.approx(0.5, abs=0.02)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    clock.close()


def sleeps_for(seconds: float) -> Callable[..., Any]:
    async def sleeps(value: Any) -> None:
        await asyncio.sleep(seconds)

    return sleeps


@pytest.mark.virtual
async def test_the_calls_deadline_ends_a_step_before_its_limit() -> None:
    """Then it is the call's time that is up, and no plugin's fault."""
    clock = timer(asyncio.get_running_loop().time() + 0.5)
    with pytest.raises(UpstreamTimeout) as caught:
        await ask(step_of(sleeps_for(10.0), limit=5.0), clock, "x")
    assert (caught.value.phase, caught.value.code) == ("total", "deadline_exceeded")
    clock.close()


@pytest.mark.virtual
async def test_a_cancellation_from_outside_stays_one() -> None:
    """Whoever cancels the task is not told that a step failed."""
    task = asyncio.ensure_future(asked_alone(step_of(sleeps_for(10.0), limit=60.0)))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def asked_alone(step: Step) -> None:
    clock = timer()
    try:
        await ask(step, clock, "x")
    finally:
        clock.close()


async def test_a_step_that_is_cancelled_by_itself_has_failed() -> None:
    """A CancelledError that nobody asked for, such as that of a future the step awaited, is the step's failure."""
    with pytest.raises(InternalError, match="rate-x was cancelled by itself in some_hook"):
        await ask(step_of(gives(asyncio.CancelledError(), awaits=True)), timer(), "x")


async def test_a_plain_step_that_raises_a_cancellation_has_failed() -> None:
    """``future.result()`` of a cancelled future raises one in a plain function as well."""
    with pytest.raises(InternalError, match="rate-x"):
        await ask(step_of(gives(asyncio.CancelledError(), awaits=False)), timer(), "x")


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
    troubles = Troubles(CLOCK)
    steps = [
        step_of(gives(value, awaits=awaits), OnRaise.SKIP, troubles=troubles)
        for value in (ValueError(), "wrong", asyncio.CancelledError() if awaits else KeyError(), 2)
    ]
    assert await first(steps, timer(), "x") == (2, steps[3])
    assert troubles.counts[("rate-x", "some_hook")] == 3


def test_a_plain_hook_skips_as_well() -> None:
    """``first_now`` is the same without an await."""
    troubles = Troubles(CLOCK)
    steps = [step_of(gives(value, awaits=False), OnRaise.SKIP, troubles=troubles) for value in (ValueError(), None, 2)]
    assert first_now(steps, "x") == 2
    assert first_now([], "x") is None
    assert sum(troubles.counts.values()) == 1
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
    """A step that raises is counted; the others hear all the same, and so does not the user."""
    troubles, heard = Troubles(CLOCK), []

    def listener(error: Exception | None) -> Step:
        def now(value: Any) -> None:
            heard.append(value)
            if error is not None:
                raise error

        async def later(value: Any) -> None:
            now(value)

        return step_of(later if awaits else now, OnRaise.ISOLATE, troubles=troubles)

    steps = [listener(ValueError()), listener(RateLimited("no")), listener(None)]
    if awaits:
        await notify_all(steps, timer(), "x")
    else:
        notify(steps, "x")
    assert (heard, troubles.counts[("rate-x", "some_hook")]) == (["x"] * 3, 2)


def test_a_listener_that_raises_a_cancellation_is_isolated() -> None:
    """What runs in clean-up must not be ended by a future that a step looked at."""
    heard: list[Any] = []
    steps = [
        step_of(gives(asyncio.CancelledError(), awaits=False), OnRaise.ISOLATE),
        step_of(heard.append, OnRaise.ISOLATE),
    ]
    notify(steps, "x")
    assert heard == ["x"]


# Troubles -------------------------------------------------------------------------------------------------------------


def test_troubles_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """For each plugin and hook; all are counted. The text of the exception is not logged."""
    clock = ManualClock()
    troubles = Troubles(clock)
    step = step_of(gives(None, awaits=False), troubles=troubles)
    with caplog.at_level(logging.WARNING):
        for seconds in (0, 30, 29, 2, 10):
            clock.advance(seconds)
            troubles.note(step, ValueError("secret"))
    assert [record.getMessage() for record in caplog.records] == [
        "Plugin rate-x failed in some_hook: ValueError (further ones are counted)."
    ] * 2
    assert troubles.counts[("rate-x", "some_hook")] == 5


# Plan -----------------------------------------------------------------------------------------------------------------


def test_a_plan_can_be_changed_step_by_step() -> None:
    """``mapped`` makes another plan."""
    steps = tuple(step_of(gives(number, awaits=False)) for number in range(3))
    plan = Plan("chat", rate_check=steps, needs_usage=True)
    changed = plan.mapped(lambda step: steps[2] if step is steps[0] else step)
    assert (changed.rate_check, changed.needs_usage) == ((steps[2], *steps[1:]), True)
    assert (changed.operation, changed.pre_request, plan.rate_check) == ("chat", (), steps)


# What a step may do ---------------------------------------------------------------------------------------------------


@pytest.mark.virtual
async def test_a_step_may_use_all_of_asyncio() -> None:
    """Time limits, groups, locks and shields of its own work inside a step, before and behind its first wait."""

    async def uses(value: Any) -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.sleep(5.0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0.1, number)) for number in (1, 2)]
        await asyncio.wait_for(asyncio.shield(asyncio.sleep(0.1)), 1.0)
        async with asyncio.Lock():
            return sum(task.result() for task in tasks)

    clock = timer()
    assert await ask(step_of(uses, limit=2.0), clock, "x") == 3
    clock.close()


@pytest.mark.virtual
async def test_a_step_that_is_late_may_clean_up() -> None:
    """Its ``finally`` runs, also where it awaits; the step's error comes behind it."""
    cleaned: list[str] = []

    async def tidy(value: Any) -> None:
        try:
            await asyncio.sleep(60.0)
        finally:
            await asyncio.sleep(0)
            cleaned.append("done")

    clock = timer()
    with pytest.raises(InternalError, match="took longer"):
        await ask(step_of(tidy, limit=0.5), clock, "x")
    clock.close()
    assert cleaned == ["done"]
