"""``Deadlines``: nothing before its time, everything within a span after it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localagent_cache_memory.deadlines import Deadlines

SPAN = 4.0
TIMES = st.floats(0, 200)


@given(st.dictionaries(st.integers(), TIMES), TIMES)
def test_what_is_over_is_over(deadlines: dict[int, float], now: float) -> None:
    """All that was due a span ago, nothing that is not due, each key once."""
    noted: Deadlines[int] = Deadlines(SPAN)
    for key, deadline in deadlines.items():
        noted.add(key, deadline)
    over = noted.over(now, len(deadlines) + 1)
    assert {key for key, deadline in deadlines.items() if deadline + SPAN <= now} <= set(over)
    assert all(deadlines[key] <= now for key in over)
    assert len(over) == len(set(over)) == len(deadlines) - len(noted)


@given(st.lists(TIMES, min_size=1), st.integers(1, 5))
def test_a_limit_spreads_the_work(deadlines: list[float], limit: int) -> None:
    """At most so many at a time, the earliest spans first, and none is lost."""
    noted: Deadlines[int] = Deadlines(SPAN)
    for key, deadline in enumerate(deadlines):
        noted.add(key, deadline)
    found: list[int] = []
    while over := noted.over(1000.0, limit):
        assert len(over) <= limit
        found += over
    assert sorted(found) == list(range(len(deadlines)))
    spans = [deadlines[key] // SPAN for key in found]
    assert spans == sorted(spans)


def test_what_was_discarded_is_never_over() -> None:
    """A key that went before its time is not heard of again, also where its neighbour in the span is."""
    noted: Deadlines[str] = Deadlines(SPAN)
    noted.add("gone", 1.0)
    noted.add("alone", 9.0)
    noted.add("here", 2.0)
    noted.discard("gone", 1.0)
    noted.discard("alone", 9.0)
    assert noted.over(100.0, 10) == ["here"]
