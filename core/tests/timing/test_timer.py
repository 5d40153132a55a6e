"""One timer a call: what is over ends, nobody else's await is touched, and a cancellation is always somebody's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import LocalAgentError
from localagent.timing import NEVER, Timer
from localagent.timing.timer import Cancellation
from localagent.timing.wheel import FAR, FINE, Wheel
from localagent_testing import run_virtual

pytestmark = pytest.mark.virtual
LATE = 1 / FINE


def now() -> float:
    return asyncio.get_running_loop().time()


def timer(deadline: float = NEVER) -> Timer:
    """A timer that the running task has entered; ``deadline`` is seconds from now."""
    made = Timer(asyncio.get_running_loop(), now() + deadline)
    made.enter()
    return made


class Named(LocalAgentError):
    """A limit that is its own error; the message names it."""

    def timeout_error(self) -> LocalAgentError:
        return self


def whose(clock: Timer) -> str | Cancellation:
    """Whose the cancellation in hand is: the name of the timer's limit, or what the timer says."""
    found = clock.classify_cancellation()
    if isinstance(found, Cancellation):
        return found
    return found.phase or found.message


async def ended_by(clock: Timer, work: asyncio.Future[None] | None = None, seconds: float = 60.0) -> str | Cancellation:
    """Wait inside; return whose the cancellation is that ended the wait."""
    try:
        await (asyncio.sleep(seconds) if work is None else work)
    except asyncio.CancelledError:
        return whose(clock)
    return "nothing"


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


# What is over ---------------------------------------------------------------------------------------------------------


async def test_a_watch_ends_the_wait_and_says_for_what() -> None:
    """Not early, and at most a slot of the wheel late; the task is not cancelled afterwards."""
    clock, begun = timer(), now()
    clock.watch(2.0, Named("pool"))
    assert await ended_by(clock) == "pool"
    assert 2.0 <= now() - begun <= 2.0 + LATE
    assert cancelling() == 0
    clock.close()


async def test_the_deadline_ends_the_wait_as_the_total() -> None:
    """Whatever is being watched for longer."""
    clock, begun = timer(2.0), now()
    assert (clock.left, clock.expired) == (2.0, False)
    clock.watch(10.0, Named("idle"))
    assert await ended_by(clock) == "total"
    assert 2.0 <= now() - begun <= 2.0 + LATE
    assert (clock.left, clock.expired) == (0.0, True)
    clock.close()


async def test_the_next_watch_takes_the_place_of_the_last() -> None:
    """A phase that ended in time leaves no trace."""
    clock, begun = timer(), now()
    clock.watch(2.0, Named("connect"))
    await asyncio.sleep(1.5)
    clock.watch(2.0, Named("first_token"))
    assert await ended_by(clock) == "first_token"
    assert now() - begun == pytest.approx(3.5, abs=LATE)
    clock.close()


async def test_without_a_watch_only_the_deadline_holds() -> None:
    """``deadline_only`` ends the limit and arms the deadline."""
    clock = timer(50.0)
    clock.watch(2.0, Named("connect"))
    clock.deadline_only()
    assert await ended_by(clock, seconds=20.0) == "nothing"
    assert await ended_by(clock) == "total"
    clock.close()


async def test_a_deadline_alone_is_armed_by_asking_for_it() -> None:
    """Also where nothing was watched before."""
    clock = timer(3.0)
    clock.deadline_only()
    assert await ended_by(clock) == "total"
    clock.close()


@pytest.mark.parametrize("age", [0.0, 1.0, 59.5, 60.3, 61.0, 3600.7])
@pytest.mark.parametrize("limit", [0.1, 1.0, 10.3, 59.99, 60.01, 61.5, 300.0])
async def test_a_limit_is_as_exact_in_an_old_call(age: float, limit: float) -> None:
    """At most a slot late, however long the call has been under way and how far its deadline is."""
    clock = timer(7200.2)
    clock.deadline_only()
    await asyncio.sleep(age)
    begun = now()
    clock.watch(limit, Named("idle"))
    assert await ended_by(clock, seconds=1000.0) == "idle"
    assert limit <= now() - begun <= limit + LATE + 1e-3
    clock.close()


@pytest.mark.parametrize("age", [1.0, 60.3, 3600.7])
async def test_a_limit_that_is_renewed_stays_exact(age: float) -> None:
    """As that between two events of a stream is, again and again."""
    clock = timer(7200.0)
    clock.deadline_only()
    until = now() + age
    while now() < until:
        clock.watch(0.1, Named("idle"))
        await asyncio.sleep(0.09)
    begun = now()
    clock.watch(0.1, Named("idle"))
    assert await ended_by(clock) == "idle"
    assert 0.1 <= now() - begun <= 0.1 + LATE + 1e-3
    clock.close()


@pytest.mark.parametrize("seconds", [59.9, 61.3, 600.4, 3600.9])
async def test_a_far_deadline_is_exact(seconds: float) -> None:
    """And a limit that would end just behind it does not make it late."""
    clock, begun = timer(seconds), now()
    clock.deadline_only()
    await asyncio.sleep(seconds - 0.05)
    clock.watch(0.1, Named("idle"))
    assert await ended_by(clock) == "total"
    assert seconds - 1e-3 <= now() - begun <= seconds + LATE + 1e-3
    clock.close()


# Whose a cancellation is ----------------------------------------------------------------------------------------------


async def test_a_cancellation_from_outside_is_not_the_timers() -> None:
    """``TASK_CANCELLED``, and the task stays cancelled."""

    async def waits() -> object:
        clock = timer()
        try:
            return await ended_by(clock), cancelling()
        finally:
            clock.close()

    task = asyncio.ensure_future(waits())
    await asyncio.sleep(1.0)
    task.cancel()
    assert await task == (Cancellation.TASK_CANCELLED, 1)


async def test_a_cancellation_from_outside_at_the_same_time_wins() -> None:
    """Anyone who cancels the task gets it cancelled, although the timer fired in the same turn."""

    async def waits() -> object:
        clock = timer()
        clock.watch(2.0, Named("pool"))
        try:
            return await ended_by(clock), cancelling()
        finally:
            clock.close()

    task = asyncio.ensure_future(waits())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(now() + 2.0, task.cancel)
    assert await task == (Cancellation.TASK_CANCELLED, 1)


async def test_a_cancellation_by_nobody_is_foreign() -> None:
    """Something that the step awaited was cancelled; the task was not."""
    clock = timer()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    assert await ended_by(clock, future) is Cancellation.FOREIGN_CANCELLATION
    clock.close()


async def test_a_timer_inside_a_timer_claims_its_own() -> None:
    """A call that a step sends has a timer of its own in the same task."""
    outer = timer()
    outer.watch(5.0, Named("outer"))
    inner = timer()
    inner.watch(2.0, Named("inner"))
    assert await ended_by(inner) == "inner"
    assert await ended_by(inner) is Cancellation.TASK_CANCELLED
    assert whose(outer) == "outer"
    assert cancelling() == 0
    inner.close()
    outer.close()


async def test_a_cancellation_that_a_step_swallowed_is_taken_back() -> None:
    """Otherwise the task would look cancelled for ever."""
    clock = timer()
    clock.watch(1.0, Named("step"))
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(5.0)
    assert cancelling() == 1
    clock.close()
    assert cancelling() == 0


# Outside --------------------------------------------------------------------------------------------------------------


async def test_a_task_that_is_elsewhere_is_not_cancelled() -> None:
    """What the consumer of a stream awaits is none of the core's business; ``aside`` is called instead."""
    clock, called = timer(2.0), []
    clock.aside = lambda error: called.append(now())
    clock.deadline_only()
    clock.leave()
    begun = now()
    await asyncio.sleep(10.0)
    assert len(called) == 1
    assert 2.0 <= called[0] - begun <= 2.0 + LATE
    clock.close()


async def test_after_closing_nothing_fires() -> None:
    """Neither into the task nor aside."""
    clock, called = timer(2.0), []
    clock.aside = lambda error: called.append(now())
    clock.watch(1.0, Named("step"))
    clock.close()
    await asyncio.sleep(10.0)
    assert called == []


async def test_a_call_must_run_in_a_task() -> None:
    """Only a task can be ended."""
    clock = Timer(asyncio.get_running_loop(), NEVER)
    failed: list[type] = []

    def enter() -> None:
        try:
            clock.enter()
        except RuntimeError as error:
            failed.append(type(error))

    asyncio.get_running_loop().call_soon(enter)
    await asyncio.sleep(0)
    assert failed == [RuntimeError]


# The wheel ------------------------------------------------------------------------------------------------------------

delays = st.floats(0.001, 200.0)


class Calling:
    """Something due that calls a function."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.fire = function


@given(
    st.lists(delays, min_size=1, max_size=30),
    st.lists(st.booleans(), min_size=30, max_size=30),
    st.lists(st.sampled_from([0.0, 0.01, 1.7, 70.0]), min_size=30, max_size=30),
)
def test_a_wheel_calls_what_is_due(seconds: list[float], disarmed: list[bool], waits: list[float]) -> None:
    """Never early, at most a slot late (beyond a minute a second), each once, and what was disarmed not at all.

    Whenever it was added, and whatever the wheel has done before.
    """

    async def turn() -> dict[int, list[float]]:
        wheel = Wheel(asyncio.get_running_loop())
        called: dict[int, list[float]] = {number: [] for number in range(len(seconds))}

        def due(number: int) -> Callable[[], None]:
            begun = now()
            return lambda: called[number].append(now() - begun)

        for number, delay in enumerate(seconds):
            await asyncio.sleep(waits[number])
            calling = Calling(due(number))
            slot = wheel.add(now() + delay, calling, now())
            if disarmed[number]:
                del slot[calling]
        await asyncio.sleep(250.0)
        wheel.close()
        return called

    for number, times in run_virtual(turn()).items():
        late = 1.0 if seconds[number] > FAR else LATE
        if disarmed[number]:
            assert times == []
        else:
            (at,) = times
            assert -1e-3 <= at - seconds[number] <= late + 1e-3


async def test_a_wheel_that_is_closed_calls_nothing() -> None:
    """Everything is disarmed."""
    wheel, called = Wheel(asyncio.get_running_loop()), []
    wheel.add(now() + 1.0, Calling(lambda: called.append(1)), now())
    wheel.close()
    await asyncio.sleep(5.0)
    assert called == []


async def test_what_is_called_may_arm_again() -> None:
    """As a timer does whose time has not come."""
    wheel, called = Wheel(asyncio.get_running_loop()), []

    def again() -> None:
        called.append(now())
        if len(called) < 5:
            wheel.add(now() + 1.0, Calling(again), now())

    wheel.add(now() + 1.0, Calling(again), now())
    await asyncio.sleep(10.0)
    assert len(called) == 5
    wheel.close()


async def test_one_function_that_raises_does_not_stop_the_wheel() -> None:
    """The calls of others are not hurt."""
    wheel, called, reported = Wheel(asyncio.get_running_loop()), [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    def fails() -> None:
        raise ValueError

    at = now() + 1.0
    wheel.add(at, Calling(fails), now())
    wheel.add(at, Calling(lambda: called.append(1)), now())
    wheel.add(at + 1.0, Calling(lambda: called.append(2)), now())
    await asyncio.sleep(5.0)
    wheel.close()
    assert (called, len(reported)) == ([1, 2], 1)
