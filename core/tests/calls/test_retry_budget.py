"""The retry budget: a share of the traffic, and a floor for programs with little of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.calls.retry_budget import RetryBudget
from localagent_testing import ManualClock


def budget(clock: ManualClock, **settings: float) -> RetryBudget:
    return RetryBudget(clock, **{"ratio": 0.2, "floor": 0.0, "window": 10.0, **settings})


def drawn(budget: RetryBudget, most: int = 1000) -> int:
    """How many retries the budget allows now."""
    return next((number for number in range(most) if not budget.draw()), most)


def test_one_retry_for_five_calls() -> None:
    """A fifth of the calls of the window, no more."""
    made = budget(ManualClock())
    for _ in range(50):
        made.deposit()
    assert drawn(made) == 10


def test_calls_count_for_the_window() -> None:
    """Then they earn nothing any more; so do retries cost nothing any more."""
    clock = ManualClock()
    made = budget(clock)
    for _ in range(50):
        made.deposit()
    clock.advance(5.0)
    assert drawn(made) == 10
    clock.advance(10.5)
    assert drawn(made) == 0
    for _ in range(50):
        made.deposit()
    assert drawn(made) == 10


def test_there_is_a_floor() -> None:
    """So many a second over the window, whatever the traffic."""
    clock = ManualClock()
    made = budget(clock, floor=0.5)
    assert drawn(made) == 5
    assert drawn(made) == 0
    clock.advance(10.0)
    assert drawn(made) == 5


def test_what_was_not_used_comes_back() -> None:
    """For as long as it would have counted: given back later it earns nothing."""
    clock = ManualClock()
    made = budget(clock, floor=0.5)
    assert drawn(made) == 5
    at = clock()
    clock.advance(5.0)
    made.give_back(at)
    assert drawn(made) == 1
    clock.advance(5.5)
    made.give_back(at)
    assert drawn(made) == 4  # the one of five seconds ago still counts


def test_no_budget_at_all() -> None:
    """Both can be switched off."""
    made = budget(ManualClock(), ratio=0.0)
    made.deposit()
    assert drawn(made) == 0


@pytest.mark.parametrize("calls", [1, 4])
def test_less_than_one_retry_is_none(calls: int) -> None:
    """Shares are saved up."""
    made = budget(ManualClock())
    for _ in range(calls):
        made.deposit()
    assert not made.draw()


events = st.lists(st.tuples(st.sampled_from(["call", "retry"]), st.floats(0.0, 3.0)), max_size=200)


@given(events, st.floats(0.0, 1.0), st.floats(0.0, 2.0))
def test_no_retry_is_made_that_the_window_does_not_give(
    events: list[tuple[str, float]], ratio: float, floor: float
) -> None:
    """Whatever happens in which order: with each retry, those of the last window are no more than its calls give.

    Slots are a tenth of the window long, so the calls of one slot more may count.
    """
    clock = ManualClock()
    made = budget(clock, ratio=ratio, floor=floor)
    calls: list[float] = []
    retries: list[float] = []
    for what, pause in events:
        clock.advance(pause)
        if what == "call":
            made.deposit()
            calls.append(clock())
        elif made.draw():
            retries.append(clock())
            earning = sum(at > clock() - 11.0 for at in calls)
            spent = sum(at > clock() - 9.0 for at in retries)
            assert spent <= floor * 10.0 + ratio * earning + 1e-6


@given(st.lists(st.floats(0.0, 100.0), max_size=300))
def test_memory_stays_constant(pauses: list[float]) -> None:
    """However long it runs, a window is ten slots."""
    clock = ManualClock()
    made = budget(clock)
    for pause in pauses:
        clock.advance(pause)
        made.deposit()
    assert len(made._slots) <= 11
