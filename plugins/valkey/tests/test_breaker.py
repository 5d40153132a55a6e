"""``Breaker``: three failures in a row open it, one numbered probe closes it or begins another pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localagent_valkey.breaker import FAILURES, Breaker, Permit

PAUSE = 5.0


def opened(breaker: Breaker, now: float = 0.0) -> None:
    for _ in range(FAILURES):
        permit = breaker.admit(now)
        assert permit is not None
        breaker.settle(permit, now, good=False)


def test_three_failures_in_a_row_open_it() -> None:
    """Two do not, and a success between them resets the count."""
    breaker = Breaker(PAUSE)
    for good in (False, False, True, False, False):
        permit = breaker.admit(0.0)
        assert permit == Permit(0, probe=False)
        breaker.settle(permit, 0.0, good=good)
    assert not breaker.is_open
    breaker.settle(Permit(0, probe=False), 0.0, good=False)
    assert breaker.is_open


def test_nobody_may_ask_until_the_pause_is_over_and_then_one() -> None:
    """The one that asks then is the probe; the others wait for what becomes of it."""
    breaker = Breaker(PAUSE)
    opened(breaker)
    assert [breaker.admit(now) for now in (0.0, 4.999)] == [None, None]
    probe = breaker.admit(5.0)
    assert probe is not None
    assert probe.probe
    assert breaker.admit(5.0) is None


def test_a_good_probe_closes_it() -> None:
    """Everybody may ask again, and it takes three failures to open it."""
    breaker = Breaker(PAUSE)
    opened(breaker)
    probe = breaker.admit(PAUSE)
    assert probe is not None
    breaker.settle(probe, PAUSE, good=True)
    assert not breaker.is_open
    opened(breaker, PAUSE)
    assert breaker.is_open


def test_a_bad_probe_begins_another_pause() -> None:
    """It is counted from the probe's end."""
    breaker = Breaker(PAUSE)
    opened(breaker)
    probe = breaker.admit(5.0)
    assert probe is not None
    breaker.settle(probe, 6.0, good=False)
    assert breaker.admit(10.9) is None
    assert breaker.admit(11.0) is not None


def test_a_probe_that_is_never_heard_of_again_is_followed_by_another() -> None:
    """After a pause; the outcome of the first one is ignored then."""
    breaker = Breaker(PAUSE)
    opened(breaker)
    lost, second = breaker.admit(5.0), breaker.admit(10.0)
    assert lost is not None
    assert second is not None
    breaker.settle(lost, 10.0, good=True)
    assert breaker.is_open
    breaker.settle(second, 10.0, good=True)
    assert not breaker.is_open


def test_what_was_asked_before_it_opened_tells_nothing_afterwards() -> None:
    """Neither a late success closes it, nor do late failures open it when it has just closed."""
    breaker = Breaker(PAUSE)
    early = [breaker.admit(0.0) for _ in range(6)]
    opened(breaker)
    for permit in early[:3]:
        assert permit is not None
        breaker.settle(permit, 1.0, good=True)
    assert breaker.is_open
    probe = breaker.admit(PAUSE)
    assert probe is not None
    breaker.settle(probe, PAUSE, good=True)
    for permit in early[3:]:
        assert permit is not None
        breaker.settle(permit, PAUSE, good=False)
    assert not breaker.is_open


class Model:
    """The rule in other words: what the breaker must be after each move."""

    def __init__(self) -> None:
        self.period = 0  # begins again whenever it opens or closes
        self.streak = 0
        self.open_until: float | None = None
        self.newest_probe: object = None

    def may_ask(self, now: float) -> bool:
        return self.open_until is None or now >= self.open_until

    def asked(self, now: float) -> tuple[int, object]:
        probe = None
        if self.open_until is not None:
            probe = self.newest_probe = object()
            self.open_until = now + PAUSE
        return self.period, probe

    def settled(self, asked: tuple[int, object], now: float, good: bool) -> None:
        period, probe = asked
        if probe is not None and probe is self.newest_probe:
            self.newest_probe = None
            self.change(None if good else now + PAUSE)
        elif probe is None and period == self.period and self.open_until is None:
            self.streak = 0 if good else self.streak + 1
            if self.streak == FAILURES:
                self.change(now + PAUSE)

    def change(self, open_until: float | None) -> None:
        self.period, self.streak, self.open_until = self.period + 1, 0, open_until


OUTCOMES = st.tuples(st.integers(0, 9), st.booleans())  # of one that is under way
MOVES = st.lists(st.one_of(st.just("ask"), OUTCOMES, st.sampled_from([0.5, PAUSE / 2, PAUSE])), max_size=80)


@given(survives_reload=MOVES)
def test_it_keeps_its_rule_whatever_happens(survives_reload: list[object]) -> None:
    """Outcomes in any order, late ones and lost ones: it does what the rule says, and nothing else."""
    breaker, model, now = Breaker(PAUSE), Model(), 0.0
    under_way: list[tuple[Permit, tuple[int, object]]] = []
    for move in survives_reload:
        if isinstance(move, float):
            now += move
        elif isinstance(move, tuple) and under_way:
            permit, asked = under_way.pop(move[0] % len(under_way))
            breaker.settle(permit, now, good=move[1])
            model.settled(asked, now, move[1])
        elif move == "ask":
            may = model.may_ask(now)
            permit = breaker.admit(now)
            assert (permit is not None) is may
            if permit is not None:
                assert permit.probe is (model.open_until is not None)
                under_way.append((permit, model.asked(now)))
        assert breaker.is_open is (model.open_until is not None)
