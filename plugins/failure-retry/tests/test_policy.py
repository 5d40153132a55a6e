"""``decide``: what follows from a failure, without a clock, a socket or a core."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent import Instance, LocalAgentError, Retry, Target
from localagent.errors import (
    Advice,
    BudgetExceeded,
    CircuitOpen,
    ConnectFailed,
    ContentFiltered,
    ContextLengthExceeded,
    EmptyResponse,
    InternalError,
    InvalidRequest,
    LocalRateLimited,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    PoolTimeout,
    QuotaExhausted,
    RateLimited,
    ResponseTooLarge,
    StreamInterrupted,
    UpstreamAuth,
    UpstreamProtocol,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent_failure_retry import RetrySettings
from localagent_failure_retry.policy import Failed, decide

A, B, C = (Target(Instance(f"test@{name}", "test", "test", f"http://{name}.test"), "model") for name in "abc")
OTHER = Target(A.instance, "another model")
NOW = 1024.0
CONFLICT = Advice(same=True)


def failed(target: Target, error: LocalAgentError, ago: float = 0.0, **more: Any) -> Failed:
    """Return a failure that ended some seconds ago."""
    return Failed(target, error, NOW - ago, **more)


def decided(
    *failures: Failed, untried: bool = False, left: float = 600.0, seed: int = 0, **limits: Any
) -> Retry | None:
    """Return what follows when the last one of ``failures`` is the one in question; ``untried`` is another model."""
    chance = random.Random(seed)
    left_over = [OTHER] if untried else []
    return decide(
        failures[-1], failures, untried=left_over, now=NOW, left=left, settings=RetrySettings(**limits), random=chance
    )


def waits(*failures: Failed, **more: Any) -> list[float]:
    """Return the waits of a thousand draws."""
    verdicts = [decided(*failures, seed=seed, **more) for seed in range(1000)]
    return [verdict.after for verdict in verdicts if verdict is not None]


HELPS_ELSEWHERE = [
    UpstreamAuth("The key is wrong."),
    PermissionDenied("Not allowed."),
    ModelNotFound("No such model."),
    QuotaExhausted("No money.", retry_after=86400.0),
    RateLimited("Too fast.", retry_after=20.0),
    Overloaded("Busy."),
    UpstreamServerError("Failed."),
    ConnectFailed("Refused.", phase="connect"),
    UpstreamTimeout("Too late.", phase="first_token"),
    UpstreamProtocol("No JSON."),
    EmptyResponse("Nothing."),
    PoolTimeout("All taken.", retry_after=1.0),
    CircuitOpen("Ejected.", retry_after=30.0),
    LocalRateLimited("Spent.", retry_after=30.0),
]
HELPS_NOWHERE = [
    InvalidRequest("Wrong."),
    ContextLengthExceeded("Too long."),
    ContentFiltered("Refused."),
    ResponseTooLarge("Too much."),
    StreamInterrupted("Cut."),
    BudgetExceeded("Spent."),
    InternalError("Broken."),
    InvalidRequest("Wrong, and later too.", retry_after=1.0),
]
HELPS_HERE = [
    RateLimited("Too fast."),
    Overloaded("Busy."),
    UpstreamServerError("Failed."),
    EmptyResponse("Nothing."),
    UpstreamServerError("Conflict.", advice=CONFLICT),
    ConnectFailed("Refused.", phase="connect"),
    ConnectFailed("Refused, says a transport that knows no phases."),
]
NOT_HERE = [
    UpstreamAuth("The key is wrong."),
    PermissionDenied("Not allowed."),
    ModelNotFound("No such model."),
    QuotaExhausted("No money."),
    QuotaExhausted("No money now.", retry_after=1.0),
    ConnectFailed("No such name.", phase="dns"),
    ConnectFailed("A certificate.", phase="tls"),
    UpstreamTimeout("Too late.", phase="first_token"),
    UpstreamTimeout("Nobody there.", phase="connect", advice=Advice(next=True, sent=False)),
    UpstreamProtocol("No JSON."),
    PoolTimeout("All taken.", retry_after=1.0),
    CircuitOpen("Ejected.", retry_after=1.0),
    Overloaded("Busy.", advice=Advice(next=True)),
]


@pytest.mark.parametrize("error", HELPS_ELSEWHERE, ids=repr)
def test_an_untried_target_comes_first_and_at_once(error: LocalAgentError) -> None:
    """A hint belongs to the target that gave it; nobody waits while another one is left."""
    assert decided(failed(A, error), untried=True) == Retry("next")


STALE = UpstreamServerError("Closed.", advice=Advice(same=True, next=True, later=True, billed="unknown", stale=True))


@pytest.mark.parametrize("untried", [True, False])
def test_a_stale_connection_is_repeated_at_once_where_it_was(untried: bool) -> None:
    """It may have been closed while it was idle, which shows nothing about the server; the limits still hold."""
    assert decided(failed(A, STALE), untried=untried) == Retry("same")
    elsewhere = Retry("next") if untried else None
    assert decided(failed(A, STALE, times=2), untried=untried) == elsewhere
    assert decided(failed(A, STALE), untried=untried, attempts_per_target=1) == elsewhere
    assert decided(failed(A, STALE, draining=True), untried=untried) == elsewhere


def test_a_stale_connection_is_repeated_at_another_instance_of_the_model() -> None:
    """If the server died, the call spends one attempt on it and not two."""
    settings, chance = RetrySettings(), random.Random(0)
    for untried, where in (([OTHER, B, C], B), ([OTHER], "same")):
        latest = failed(A, STALE)
        verdict = decide(latest, [latest], untried=untried, now=NOW, left=9.0, settings=settings, random=chance)
        assert verdict == Retry(where)


@pytest.mark.parametrize("error", HELPS_NOWHERE, ids=repr)
@pytest.mark.parametrize("untried", [True, False])
def test_what_helps_nowhere_is_left_to_the_next_plugin(error: LocalAgentError, untried: bool) -> None:
    """Neither this target nor another one, whether or not one is left."""
    assert decided(failed(A, error), untried=untried) is None


@pytest.mark.parametrize("error", HELPS_HERE, ids=repr)
def test_the_only_target_is_asked_again(error: LocalAgentError) -> None:
    """After a pause, and as often as the settings say."""
    verdict = decided(failed(A, error))
    assert verdict is not None
    assert verdict.where == "same"
    assert decided(failed(A, error, times=2)) is None
    assert decided(failed(A, error, times=2), attempts_per_target=3) is not None
    assert decided(failed(A, error), attempts_per_target=1) is None


@pytest.mark.parametrize("error", NOT_HERE, ids=repr)
def test_the_only_target_is_not_asked_again_where_that_is_no_use(error: LocalAgentError) -> None:
    """A key, a missing model, our own queue: a pause changes nothing."""
    assert decided(failed(A, error)) is None


def test_a_conflict_stays_where_it_is() -> None:
    """Advice for the same target only is followed at the same target only."""
    rested = failed(B, Overloaded("Busy."), ago=100.0)
    verdict = decided(rested, failed(A, UpstreamServerError("Conflict.", advice=CONFLICT)), untried=True)
    assert verdict is not None
    assert verdict.where == "same"


def test_an_instance_that_is_being_drained_is_not_asked_again() -> None:
    """It takes nothing new."""
    assert decided(failed(A, Overloaded("Busy."), draining=True)) is None


def test_a_useless_target_leads_back_to_a_useful_one() -> None:
    """A was busy, B has a wrong key: A is asked again."""
    verdict = decided(failed(A, Overloaded("Busy.")), failed(B, UpstreamAuth("Wrong key.")))
    assert verdict is not None
    assert verdict.where == A


CUT = UpstreamServerError("The connection broke.", advice=Advice(next=True, later=True))
STAYS_AWAY = [
    UpstreamTimeout("Too late.", phase="first_token"),
    UpstreamServerError("Failed, and says: do not retry.", advice=Advice(next=True)),
    ConnectFailed("No such name.", phase="dns"),
    UpstreamAuth("The key is wrong."),
    PoolTimeout("All taken.", retry_after=1.0),
]


def test_a_new_round_begins_once_every_target_broke() -> None:
    """What helps only elsewhere leads back to a target that broke before the latest one, never to the latest itself."""
    assert decided(failed(A, CUT)) is None
    verdict = decided(failed(A, CUT, ago=0.5), failed(B, CUT, ago=0.2), failed(C, CUT))
    assert verdict is not None
    assert verdict.where in (A, B)
    assert decided(failed(A, CUT, times=2), failed(B, CUT, times=2), failed(C, CUT)) is None


@pytest.mark.parametrize("error", STAYS_AWAY, ids=repr)
def test_no_round_begins_with_a_target_that_is_of_no_use_later(error: LocalAgentError) -> None:
    """A clock that ran out, a wrong name, a wrong key, our own queue."""
    assert decided(failed(A, error, ago=1.0), failed(B, CUT)) is None


def test_the_target_that_may_be_asked_soonest_is_asked() -> None:
    """Each by its own hint or backoff, counted from its own failure."""
    busy, broken = RateLimited("", retry_after=30.0), RateLimited("", retry_after=4.0)
    soon = decided(failed(A, broken, ago=3.0), failed(C, UpstreamAuth("")), failed(B, busy))
    assert soon is not None
    assert soon.where == A
    assert 1.0 <= soon.after <= 2.0

    late = decided(failed(A, busy), failed(B, UpstreamServerError("Failed.")))
    assert late is not None
    assert late.where == "same"
    assert late.after <= 0.05


@pytest.mark.parametrize(
    ("error", "times", "longest"),
    [
        (UpstreamServerError("Failed."), 1, 0.05),
        (UpstreamServerError("Failed."), 2, 0.1),
        (UpstreamServerError("Failed."), 5, 0.8),
        (ConnectFailed("Refused."), 1, 0.05),
        (Overloaded("Busy."), 1, 1.0),
        (RateLimited("Too fast."), 3, 4.0),
        (RateLimited("Too fast."), 6, 20.0),
        (UpstreamServerError("Failed."), 5000, 20.0),
    ],
)
def test_backoff_is_drawn_between_zero_and_its_ceiling(error: LocalAgentError, times: int, longest: float) -> None:
    """Full jitter: base x 2^n, capped; the whole range is used."""
    drawn = waits(failed(A, error, times=times), attempts_per_target=10_000)
    assert len(drawn) == 1000
    assert 0 <= min(drawn) < 0.01 * longest
    assert 0.99 * longest < max(drawn) <= longest


def test_each_class_of_backoff_has_its_cap() -> None:
    """``transient_cap`` and ``throttle_cap``."""
    more: dict[str, Any] = {"attempts_per_target": 100, "transient_cap": 0.2, "throttle_cap": 3.0}
    assert 0.19 < max(waits(failed(A, UpstreamServerError(""), times=50), **more)) <= 0.2
    assert 2.9 < max(waits(failed(A, Overloaded(""), times=50), **more)) <= 3.0


def test_a_hint_is_waited_for_with_a_quarter_more_at_most() -> None:
    """Never less than the server asked for; clients that got the same hint do not come back together."""
    drawn = waits(failed(A, RateLimited("", retry_after=8.0)))
    assert 8.0 <= min(drawn) < 8.1
    assert 9.9 < max(drawn) <= 10.0


def test_a_hint_counts_from_when_it_was_given() -> None:
    """Time that has passed meanwhile is not waited for again."""
    drawn = waits(failed(A, RateLimited("", retry_after=8.0), ago=6.0), failed(B, UpstreamAuth("")))
    assert 2.0 <= min(drawn) < max(drawn) <= 4.0
    assert set(waits(failed(A, RateLimited("", retry_after=8.0), ago=11.0), failed(B, UpstreamAuth("")))) == {0.0}


@pytest.mark.parametrize(
    ("hint", "left", "allowed"),
    [
        (60.0, 600.0, True),
        (60.1, 600.0, False),
        (3600.0, 1e6, False),
        (10.0, 10.1, True),
        (10.0, 10.0, False),
        (10.0, 0.0, False),
        (float("inf"), 600.0, False),
        (float("nan"), 600.0, False),
    ],
)
def test_a_hint_that_is_too_long_ends_the_call(hint: float, left: float, allowed: bool) -> None:
    """Longer than ``max_wait``, or not over before the deadline: the error reaches the user with its hint."""
    assert (decided(failed(A, RateLimited("", retry_after=hint)), left=left) is not None) is allowed


def test_max_wait_is_a_setting() -> None:
    """A call with enough time may wait longer."""
    assert decided(failed(A, RateLimited("", retry_after=300.0)), max_wait=300.0) is not None


def test_a_wait_ends_before_the_deadline() -> None:
    """Backoff and jitter fit into what is left; the hint itself is never shortened."""
    assert 0.29 < max(waits(failed(A, Overloaded("Busy.")), left=0.3)) <= 0.3
    assert min(waits(failed(A, RateLimited("", retry_after=10.0)), left=10.1)) >= 10.0
    assert 10.09 < max(waits(failed(A, RateLimited("", retry_after=10.0)), left=10.1)) <= 10.1


def test_nothing_follows_when_the_time_is_up() -> None:
    """Not even a pause of no length."""
    assert decided(failed(A, UpstreamServerError("Failed.")), left=0.0) is None
    assert decided(failed(A, UpstreamServerError("Failed.")), left=-1.0) is None


ERRORS = st.builds(
    lambda kind, hint, same, next_, later, pace: kind(
        "", retry_after=hint, advice=Advice(same=same, next=next_, later=later, pace=pace)
    ),
    st.sampled_from([RateLimited, UpstreamServerError, ConnectFailed]),
    st.none() | st.floats(0.001, 1e6),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["transient", "throttle"]),
)
PAST = st.tuples(ERRORS, st.floats(0, 100), st.integers(1, 8), st.booleans())


@given(
    st.lists(PAST, min_size=1, max_size=3),
    st.booleans(),
    st.floats(-1, 10) | st.floats(0, 1000),
    st.integers(1, 6),
    st.integers(0, 2**32),
)
def test_a_wait_keeps_to_hint_cap_and_deadline(
    past: list[Any], untried: bool, left: float, attempts: int, seed: int
) -> None:
    """Whatever happened: what is advised is allowed, and its wait within the bounds of the target that it leads to."""
    failures = [
        failed(target, error, ago, times=times, draining=draining)
        for target, (error, ago, times, draining) in zip((A, B, C), past, strict=False)
    ]
    verdict = decided(*failures, untried=untried, left=left, seed=seed, attempts_per_target=attempts)
    latest = failures[-1]
    if untried and latest.error.advice.next:
        assert verdict == Retry("next")
    elif verdict is not None:
        chosen = latest if verdict.where == "same" else next(f for f in failures if f.target == verdict.where)
        _check(verdict, chosen, latest, left, attempts)


def _check(verdict: Retry, chosen: Failed, latest: Failed, left: float, attempts: int) -> None:
    error, passed = chosen.error, NOW - chosen.ended
    assert chosen is latest or latest.error.advice.next
    assert error.advice.same or isinstance(error, ConnectFailed) or (chosen is not latest and error.advice.later)
    assert chosen.times < attempts
    assert not chosen.draining
    assert 0 <= verdict.after <= left
    if error.retry_after is None:
        assert verdict.after <= 20.0
    else:
        assert error.retry_after <= 60.0
        assert error.retry_after <= verdict.after + passed + 1e-9
        assert verdict.after <= max(0.0, 1.25 * error.retry_after - passed)
