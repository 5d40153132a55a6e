"""Instances come and go; the core counts what becomes of them."""

from __future__ import annotations

import pytest

from localagent.records import Instances
from localagent.records.instances import Instance, InstanceState, Target
from localagent_testing import FakeCore


def instance(id: str, provider: str = "p") -> Instance:
    return Instance(id, provider, "fake", f"http://{id}.invalid")


def test_instances_are_in_the_order_they_came() -> None:
    """For each provider apart."""
    known = Instances()
    made = [instance("b"), instance("a"), instance("c", "q")]
    for item in made:
        known.add(item)
    assert (list(known), len(known)) == (made, 3)
    assert [state.instance for state in known.of("p")] == made[:2]
    assert known.of("nobody") == ()


def test_two_instances_of_one_id_are_refused() -> None:
    """The id names it in metrics and errors."""
    known = Instances()
    known.add(instance("a"))
    with pytest.raises(ValueError, match="'a' exists already"):
        known.add(instance("a", "q"))


def test_an_instance_is_equal_to_itself_alone() -> None:
    """One that comes again under the same id is another one, with counts of its own."""
    assert instance("a") != instance("a")
    assert Target(instance("a"), "m") != Target(instance("a"), "m")
    one = instance("a")
    assert Target(one, "m") == Target(one, "m")


def test_a_draining_instance_takes_nothing_new_and_goes_with_its_last_attempt() -> None:
    """It is there until then."""
    known, one = Instances(), instance("a")
    known.add(one)
    state = known.state(one)
    state.in_flight = 1
    known.drain(one)
    assert (known.of("p"), known.serves(one), len(known)) == ((), False, 1)
    known.settle(state)
    assert len(known) == 1
    state.in_flight = 0
    known.settle(state)
    known.settle(state)
    assert (len(known), known.serves(one)) == (0, False)


def test_whoever_watches_hears_every_change() -> None:
    """Until the watch ends; every change makes another version."""
    known, one, heard, versions = Instances(), instance("a"), [], [0]
    end = known.watch(lambda what, which: (heard.append((what, which.id)), versions.append(known.version)))
    known.add(one)
    known.drain(one)
    end()
    known.add(instance("b"))
    assert heard == [("added", "a"), ("draining", "a"), ("removed", "a")]
    assert versions == [0, 1, 2, 3]


def test_who_runs_an_instance_may_say_how_it_is() -> None:
    """A provider that supervises it knows better than a check; one that is gone is no mistake."""
    known, one = Instances(), instance("a")
    known.report(one, "loading")
    known.add(one)
    known.report(one, "loading", "loading the model")
    assert (known.state(one).health, known.state(one).error) == ("loading", "loading the model")


def test_latency_is_a_moving_average() -> None:
    """The first success sets it; each later one counts a fifth."""
    state = InstanceState(instance("a"))
    for seconds, expected in ((10.0, 10.0), (5.0, 9.0), (9.0, 9.0)):
        state.succeeded(seconds, 0.0)
        assert state.latency == pytest.approx(expected)


def test_only_failures_of_the_instance_make_a_streak() -> None:
    """A wrong request says nothing about the server; a success ends the streak."""
    state = InstanceState(instance("a"))
    state.failed("no such field", sick=False)
    assert (state.failures, state.streak, state.health, state.error) == (1, 0, "unknown", "")
    state.failed("busy", sick=True)
    state.failed("busy again", sick=True)
    assert (state.failures, state.streak, state.health, state.error) == (3, 2, "unhealthy", "busy again")
    state.succeeded(1.0, 0.0)
    assert (state.failures, state.streak, state.health, state.error) == (3, 0, "healthy", "")


async def test_an_open_attempt_is_in_flight_until_it_closes() -> None:
    """Once, however often it is closed."""
    from localagent.records.attempt import Outcome

    async with FakeCore() as core:
        attempt = core.attempt()
        state = core.state(attempt.target.instance)
        assert state.in_flight == 1
        assert attempt.close(Outcome("ok"))
        assert not attempt.close(Outcome("failed"))
        assert (state.in_flight, attempt.outcome) == (0, Outcome("ok"))


def test_a_target_says_what_and_where() -> None:
    """Its name is what users and caches know; its text also says which instance."""
    target = Target(instance("here"), "org/m:7b")
    assert (target.name, str(target)) == ("p/org/m:7b", "p/org/m:7b at here")
