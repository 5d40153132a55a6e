"""One step of a hook: its result, and what becomes of it when it does not answer well."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from made_steps import both, gives, sleeps_for, step_of, timer

from localagent.errors import InternalError, RateLimited, UpstreamTimeout
from localagent.pipeline import Step
from localagent.pipeline.steps import ask


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
    with pytest.raises(InternalError, match=r"rate-x took longer than 0\.5 s.*Raise \[step_timeouts\] some_hook"):
        await ask(step_of(sleeps_for(10.0), limit=0.5), clock, "x")
    assert loop.time() - begun == pytest.approx(0.5, abs=0.02)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    clock.close()


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
    """Anyone who cancels the task is not told that a step failed."""
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
    with pytest.raises(InternalError, match="rate-x raised CancelledError in some_hook"):
        await ask(step_of(gives(asyncio.CancelledError(), awaits=True)), timer(), "x")


async def test_a_plain_step_that_raises_a_cancellation_has_failed() -> None:
    """``future.result()`` of a cancelled future raises one in a plain function as well."""
    with pytest.raises(InternalError, match="rate-x"):
        await ask(step_of(gives(asyncio.CancelledError(), awaits=False)), timer(), "x")


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
