"""The rounds of attempts: choose, ask the gates, exchange, decide; nothing that was taken is ever kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import (
    Attempt,
    Call,
    Client,
    Continue,
    GiveUp,
    LocalAgentError,
    Outcome,
    Plugin,
    Refused,
    Request,
    Retry,
    Target,
    hookimpl,
)
from localagent.errors import (
    ConnectFailed,
    InternalError,
    InvalidRequest,
    LocalRateLimited,
    ModelNotFound,
    Overloaded,
    RateLimited,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent.plugin_api.plugin import PluginSource
from localagent.runtime import Runtime
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProviderPlugin

pytestmark = pytest.mark.virtual

Kind = type[Plugin]


def plugin(name: str, **steps: Callable[..., Any]) -> Kind:
    """A plugin with these functions as its steps; they take the hook's arguments without ``self``."""
    methods = {}
    for hook, function in steps.items():
        method = staticmethod(function)
        methods[hook] = hookimpl(method.__func__) and method
    return type("Made", (Plugin,), {"name": name, **methods})


@asynccontextmanager
async def client_of(fake: type[FakeProviderPlugin], *plugins: PluginSource, **settings: Any) -> AsyncIterator[Client]:
    """A client of a scripted provider, without health checks; at the end nothing is in flight."""
    settings = {"health": {"enabled": False}, **settings}
    async with Client(settings, plugins=[fake, *plugins], environment={}, seed=1) as client:
        yield client
        runtime = await client.runtime()
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


async def failure(client: Client, **more: Any) -> LocalAgentError:
    with pytest.raises(LocalAgentError) as caught:
        await client.chat("Hello.", **more)
    return caught.value


def now() -> float:
    return asyncio.get_running_loop().time()


class Gate(Plugin):
    """Refuses what ``refuse`` says; takes a slot for what it admits and gives it back."""

    name = "rate-gate"

    def __init__(self, refuse: Callable[[Attempt], Refused | None] = lambda attempt: None) -> None:
        super().__init__()
        self.refuse = refuse
        self.taken: list[str] = []
        self.ended: list[tuple[str, str, int]] = []

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> Refused | None:
        instance = attempt.target.instance.id
        self.taken.append(instance)
        attempt.defer(lambda outcome: self.ended.append((instance, outcome.status, attempt.number)))
        return self.refuse(attempt)


class Observer(Plugin):
    """Hears how attempts and calls end."""

    name = "metrics-observer"

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[tuple[str, str, int]] = []
        self.metrics: list[Any] = []

    @hookimpl
    def after_attempt(self, attempt: Attempt, outcome: Outcome) -> None:
        self.outcomes.append((attempt.target.instance.id, outcome.status, attempt.number))

    @hookimpl
    def record_metric(self, metric: Any) -> None:
        self.metrics.append(metric)


class Decides(Plugin):
    """Answers failures with these verdicts, in order; the last one stays."""

    name = "failure-decides"

    def __init__(self, *verdicts: Any) -> None:
        super().__init__()
        self.left = list(verdicts)
        self.asked: list[LocalAgentError] = []

    @hookimpl
    async def on_failure(self, attempt: Attempt, error: LocalAgentError) -> Any:
        self.asked.append(error)
        verdict = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return verdict(attempt) if callable(verdict) else verdict


NEXT, SAME = Retry("next"), Retry("same")


# Refusals -------------------------------------------------------------------------------------------------------------


async def test_a_refused_candidate_gives_everything_back() -> None:
    """The next one is asked. The refused one has no number, runs its deferred functions, and nobody else hears."""
    error = LocalRateLimited("full")
    guard = Gate(lambda attempt: Refused(error, 9.0) if attempt.target.instance.id == "a" else None)
    fake, sees = fake_provider_plugin({"a": Reply(), "b": Reply()}), Observer()
    async with client_of(fake, guard, sees) as client:
        response = await client.chat("Hello.")
        instances = (await client.runtime()).instances
        state = {instance.id: instances.state(instance) for instance in instances}
    assert response.instance == "b"
    assert guard.ended == [("a", "refused", 0), ("b", "ok", 1)]
    assert sees.outcomes == [("b", "ok", 1)]
    assert [asked.instance for asked in fake.asked] == ["b"]
    assert (state["a"].attempts, state["a"].failures, sees.metrics[0].attempts) == (0, 0, 1)


async def test_all_refused_waits_for_the_earliest_time() -> None:
    """Then the round starts again; waiting is not in flight and no attempt."""
    waits = {"a": 5.0, "b": 3.0}
    begun = now()

    def refuse(attempt: Attempt) -> Refused | None:
        seconds = waits[attempt.target.instance.id]
        return Refused(LocalRateLimited("full"), seconds) if now() < begun + 2.9 else None

    guard = Gate(refuse)
    async with client_of(fake_provider_plugin({"a": Reply(), "b": Reply()}), guard) as client:
        runtime = await client.runtime()
        task = asyncio.ensure_future(client.chat("Hello."))
        await asyncio.sleep(1.0)
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0, 0]
        await task
    assert guard.taken == ["a", "b", "a"]
    assert now() == pytest.approx(begun + 3.0, abs=0.1)


async def test_refused_for_longer_than_the_call_has_is_an_error_at_once() -> None:
    """The refusal with the smallest wait is what the user sees, with that wait."""
    errors = {"a": LocalRateLimited("a is full"), "b": LocalRateLimited("b is full")}
    guard = Gate(
        lambda attempt: Refused(errors[attempt.target.instance.id], 30.0 if attempt.target.instance.id == "a" else 20.0)
    )
    sees = Observer()
    async with client_of(fake_provider_plugin({"a": Reply(), "b": Reply()}), guard, sees) as client:
        begun = now()
        error = await failure(client, timeout=10.0)
        assert now() == begun
    assert (error, error.retry_after, error.attempts) == (errors["b"], 20.0, 0)
    assert (sees.metrics[0].status, sees.metrics[0].code) == ("refused", "local_rate_limited")


async def test_refused_without_a_time_is_the_first_candidates_error() -> None:
    """Nobody knows when asking again would help."""
    errors = {"a": LocalRateLimited("a is full"), "b": LocalRateLimited("b is full")}
    guard = Gate(lambda attempt: Refused(errors[attempt.target.instance.id]))
    async with client_of(fake_provider_plugin({"a": Reply(), "b": Reply()}), guard) as client:
        assert await failure(client) is errors["a"]


async def test_waiting_again_and_again_ends_with_the_deadline() -> None:
    """Each wait fits the call's time; when one does not, the refusal is the error."""
    guard = Gate(lambda attempt: Refused(LocalRateLimited("full"), 4.0))
    async with client_of(fake_provider_plugin(), guard) as client:
        begun = now()
        assert isinstance(await failure(client, timeout=10.0), LocalRateLimited)
        assert now() - begun == pytest.approx(8.0, abs=0.1)
    assert len(guard.taken) == 3


async def test_a_choice_may_be_refused_as_a_whole() -> None:
    """A step that chooses may say that none may be tried now; it is treated like a gate's refusal."""
    begun = now()
    chooser = plugin(
        "select-none",
        select_instance=lambda call, candidates: Refused(Overloaded("all full"), 2.0) if now() < begun + 1.9 else None,
    )
    async with client_of(fake_provider_plugin(), chooser) as client:
        await client.chat("Hello.")
    assert now() - begun == pytest.approx(2.0, abs=0.1)


async def test_an_empty_choice_is_an_error() -> None:
    """With nothing to try and no time to wait for, the call ends."""
    chooser = plugin("select-none", select_instance=lambda call, candidates: ())
    async with client_of(fake_provider_plugin(), chooser) as client:
        assert isinstance(await failure(client), ModelNotFound)


async def test_a_ticket_is_refused_by_name() -> None:
    """This version knows no queues; a plugin that needs them is named."""

    class Place:
        def fired(self) -> asyncio.Future[None]: ...  # type: ignore[empty-body]
        def cancel(self) -> None: ...

    guard = Gate(lambda attempt: Refused(LocalRateLimited("full"), None, Place()))
    async with client_of(fake_provider_plugin(), guard) as client:
        error = await failure(client)
    assert "rate-gate returned a ticket" in error.message
    assert guard.ended == [("one", "failed", 1)]


# Failures -------------------------------------------------------------------------------------------------------------


async def test_without_a_failure_step_the_first_error_ends_the_call() -> None:
    """It names provider, target, call and attempts."""
    async with client_of(fake_provider_plugin(UpstreamServerError("broken"))) as client:
        error = await failure(client)
    assert (error.provider, error.target, error.attempts) == ("fake", "fake/m at one", 1)
    assert error.request_id


async def test_next_leaves_out_what_failed() -> None:
    """In the user's order; when none is left, all may be tried again."""
    error = UpstreamServerError("broken")
    fake = fake_provider_plugin({"a": [error, Reply("a at last")], "b": error, "c": error})
    async with client_of(fake, Decides(NEXT)) as client:
        response = await client.chat("Hello.")
    assert [asked.instance for asked in fake.asked] == ["a", "b", "c", "a"]
    assert response.text == "a at last"


async def test_same_asks_the_same_target_first() -> None:
    """Although it failed."""
    fake = fake_provider_plugin({"a": [Overloaded("busy"), Reply()], "b": Reply()})
    async with client_of(fake, Decides(SAME)) as client:
        await client.chat("Hello.")
    assert [asked.instance for asked in fake.asked] == ["a", "a"]


async def test_a_target_may_be_named() -> None:
    """It is put in front of what is chosen."""
    fake = fake_provider_plugin({"a": Overloaded("busy"), "b": Reply(), "c": Reply()})

    def third(attempt: Attempt) -> Retry:
        return Retry(Target(attempt.call.candidates[2].instance, "other"))

    async with client_of(fake, Decides(third)) as client:
        response = await client.chat("Hello.")
    assert (response.instance, response.model) == ("c", "fake/other")


async def test_a_retry_waits_its_time() -> None:
    """On the loop's clock; not at all when the call has not that long."""
    fake = fake_provider_plugin({"a": [Overloaded("busy"), Overloaded("busy"), Reply()]})
    async with client_of(fake, Decides(Retry("same", 3.0), Retry("same", 4.0))) as client:
        begun = now()
        await client.chat("Hello.")
        assert now() - begun == pytest.approx(7.0, abs=0.1)
    fake = fake_provider_plugin(Overloaded("busy"))
    async with client_of(fake, Decides(Retry("same", 30.0))) as client:
        begun = now()
        assert isinstance(await failure(client, timeout=20.0), Overloaded)
        assert now() == begun


async def test_the_deadline_ends_a_wait() -> None:
    """A wait that fits is begun; whatever else takes time, the call ends at its deadline."""
    fake = fake_provider_plugin({"a": Reply(error=Overloaded("busy"), after=3.0)})
    async with client_of(fake, Decides(Retry("same", 3.0))) as client:
        begun = now()
        error = await failure(client, timeout=8.0)
        assert now() - begun == pytest.approx(8.0, abs=0.1)
    assert (type(error), error.code, error.attempts) == (UpstreamTimeout, "deadline_exceeded", 2)


async def test_there_are_at_most_so_many_attempts() -> None:
    """``max_attempts`` holds whatever a step advises, also for failures that were never sent."""
    for error in (Overloaded("busy"), ConnectFailed("nobody there")):
        fake = fake_provider_plugin({str(number): error for number in range(9)})
        async with client_of(fake, Decides(NEXT), max_attempts=4) as client:
            assert (await failure(client)).attempts == 4
        assert len(fake.asked) == 4


async def test_retries_draw_from_the_budget() -> None:
    """When it is spent the error is the user's; the plan to retry changes nothing."""
    fake = fake_provider_plugin(Overloaded("busy"))
    async with client_of(fake, Decides(SAME), retry={"ratio": 0.0, "floor": 0.2, "window": "10 s"}) as client:
        for attempts in (3, 1, 1):
            assert (await failure(client)).attempts == attempts


async def spent(client: Client, work: Callable[[], Awaitable[Any]]) -> float:
    """Retries that the budget of a client has less after some work."""
    budget = (await client.runtime()).engine.budget
    before = budget.left
    await work()
    return before - budget.left


SPENDING = {"ratio": 0.0, "floor": 5.0, "window": "10 s"}
FORBIDDEN: list[Any] = [
    pytest.param((Retry("same", 9.0),), {}, 1, id="a pause beyond the deadline"),
    pytest.param((Retry("same", 5.0),), {}, 1, id="a pause up to the deadline"),
    pytest.param((Retry("same", float("inf")),), {}, 1, id="an endless pause"),
    pytest.param((SAME,), {"max_attempts": 1}, 1, id="the only attempt"),
    pytest.param((SAME,), {"max_attempts": 3}, 3, id="the last attempt"),
    pytest.param((GiveUp(),), {}, 1, id="giving up"),
    pytest.param((None,), {}, 1, id="no advice"),
    pytest.param((SAME, GiveUp()), {}, 2, id="giving up later"),
    pytest.param((Continue("Hel"),), {}, 1, id="a continuation"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("verdicts", "settings", "attempts"), FORBIDDEN)
async def test_what_is_not_tried_again_costs_no_budget(
    verdicts: tuple[Any, ...], settings: dict[str, Any], attempts: int, stream: bool
) -> None:
    """Each attempt after the first draws once; a retry that something else forbids draws nothing."""
    asked = fake_provider_plugin(Overloaded("busy"))

    async def ask() -> None:
        if stream:
            async with client.stream("Hello.", timeout=5.0) as answer:
                await answer.text()
        else:
            await client.chat("Hello.", timeout=5.0)

    async def work() -> None:
        with pytest.raises(LocalAgentError):
            await ask()

    async with client_of(asked, Decides(*verdicts), retry=SPENDING, **settings) as client:
        assert await spent(client, work) == attempts - 1
    assert len(asked.asked) == attempts


async def test_a_step_that_takes_all_the_time_costs_no_budget() -> None:
    """The deadline is looked at after the step has decided."""

    async def slowly(attempt: Attempt) -> Retry:
        await asyncio.sleep(7.0)
        return SAME

    async with client_of(
        fake_provider_plugin(Overloaded("busy")), plugin("failure-slow", on_failure=slowly), retry=SPENDING
    ) as client:
        assert await spent(client, lambda: failure(client, timeout=5.0)) == 0


@pytest.mark.parametrize("advice", [NEXT, SAME])
async def test_where_no_target_is_left_no_budget_is_drawn(advice: Retry) -> None:
    """The instance goes away while the step decides."""

    async def leaves(attempt: Attempt) -> Retry:
        (await client.runtime()).instances.drain(attempt.target.instance)
        return advice

    fake = fake_provider_plugin(Overloaded("busy"))
    async with client_of(fake, plugin("failure-leaves", on_failure=leaves), retry=SPENDING) as client:

        async def work() -> None:
            assert type(await failure(client)) is Overloaded

        assert await spent(client, work) == 0


@pytest.mark.parametrize("end", ["cancel", "close", "gate"])
async def test_a_retry_that_never_comes_to_be_gives_back_what_it_drew(end: str) -> None:
    """Cancelled or closed in its pause, or refused by a gate: the budget is as it was."""
    error = LocalRateLimited("full")
    guard = Gate(lambda attempt: Refused(error) if end == "gate" and attempt.call.attempts else None)
    async with client_of(
        fake_provider_plugin(Overloaded("busy")), Decides(Retry("same", 4.0)), guard, retry=SPENDING
    ) as client:

        async def work() -> None:
            task = asyncio.ensure_future(client.chat("Hello."))
            await asyncio.sleep(1.0)
            if end == "cancel":
                task.cancel()
            elif end == "close":
                await (await client.runtime()).aclose()
            with pytest.raises((asyncio.CancelledError, LocalAgentError)):
                await task

        assert await spent(client, work) == 0


async def test_a_retry_that_fails_before_it_is_sent_is_drawn_once() -> None:
    """What prepares an attempt may fail again and again: one retry at a time is taken from the budget."""
    tries: list[int] = []

    async def prepares(attempt: Attempt, request: Request) -> Request:
        tries.append(len(attempt.call.attempts))
        if 1 <= len(tries) <= 2:
            raise Overloaded("not yet")
        return request

    fake = fake_provider_plugin(Reply())
    async with client_of(fake, Decides(SAME), plugin("fit-fails", prepare_attempt=prepares), retry=SPENDING) as client:
        assert await spent(client, lambda: client.chat("Hello.")) == 1
    assert len(tries) == 3


async def test_a_failure_that_was_never_sent_is_free_once_a_target() -> None:
    """Moving on costs nothing where no server worked; the second time it draws."""
    fake = fake_provider_plugin({"a": ConnectFailed("nobody there"), "b": ConnectFailed("nobody there")})
    async with client_of(fake, Decides(NEXT), retry={"ratio": 0.0, "floor": 0.0}) as client:
        assert (await failure(client)).attempts == 3
    assert [asked.instance for asked in fake.asked] == ["a", "b", "a"]


async def test_giving_up_may_say_why() -> None:
    """The step's error instead of the attempt's, which is its cause."""
    instead, own = InvalidRequest("Do not ask that."), Overloaded("busy")
    async with client_of(fake_provider_plugin(own), Decides(GiveUp(instead))) as client:
        error = await failure(client)
    assert (error, error.__cause__) == (instead, own)
    async with client_of(fake_provider_plugin(own), Decides(GiveUp())) as client:
        assert await failure(client) is own


async def test_a_continuation_is_refused_by_name() -> None:
    """This version has none; the plugin that asks for one is named."""
    async with client_of(fake_provider_plugin(Overloaded("busy")), Decides(Continue("Hel"))) as client:
        error = await failure(client)
    assert "failure-decides asked for a continuation" in error.message


def raising(error: Exception) -> Callable[..., Any]:
    def raises(*arguments: Any, **named: Any) -> Any:
        raise error

    return raises


def takes_attempt(error: Exception) -> Callable[..., Any]:
    def step(attempt: Attempt) -> Any:
        raise error

    return step


@pytest.mark.parametrize("hook", ["prepare_attempt", "rate_check", "check_answer", "provider"])
async def test_failure_steps_hear_of_every_error_of_an_attempt(hook: str) -> None:
    """Wherever it came up."""
    error = RateLimited("slowly")
    fake = fake_provider_plugin(error if hook == "provider" else Reply())
    steps = [] if hook == "provider" else [plugin("request-x", **{hook: takes_attempt(error)})]
    decides, sees = Decides(None), Observer()
    async with client_of(fake, decides, sees, *steps) as client:
        assert await failure(client) is error
    assert decides.asked == [error]  # type: ignore[attr-defined]
    assert sees.outcomes == [("one", "failed", 1)]


async def test_failure_steps_hear_of_a_connection_that_was_not_brought() -> None:
    """``connect`` belongs to the attempt."""

    def connect(instance: Any) -> Any:
        raise ConnectFailed("no tunnel")

    decides = Decides(None)
    async with client_of(fake_provider_plugin(), decides, plugin("connect-x", connect=connect)) as client:
        assert isinstance(await failure(client), ConnectFailed)
    assert len(decides.asked) == 1  # type: ignore[attr-defined]


async def test_failure_steps_hear_nothing_of_refusals_deadlines_and_cancellations() -> None:
    """There is nothing to decide."""
    decides = Decides(NEXT)
    guard = Gate(lambda attempt: Refused(LocalRateLimited("full")))
    async with client_of(fake_provider_plugin(), decides, guard) as client:
        await failure(client)
    async with client_of(fake_provider_plugin(Reply(after=60.0)), decides) as client:
        assert (await failure(client, timeout=5.0)).code == "deadline_exceeded"
        task = asyncio.ensure_future(client.chat("Hello."))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert decides.asked == []  # type: ignore[attr-defined]


async def test_an_objection_makes_the_attempt_a_failed_one() -> None:
    """``check_answer`` may refuse an answer; the next target is asked."""
    fake = fake_provider_plugin({"a": Reply("bad"), "b": Reply("good")})
    checker = plugin("request-x", check_answer=lambda response: Overloaded("bad") if response.text == "bad" else None)
    sees = Observer()
    async with client_of(fake, checker, Decides(NEXT), sees) as client:
        assert (await client.chat("Hello.")).text == "good"
    assert sees.outcomes == [("a", "failed", 1), ("b", "ok", 2)]


# Preparing ------------------------------------------------------------------------------------------------------------


async def test_what_was_prepared_is_kept_for_each_target() -> None:
    """Fitting a request may be dear: it is done once a target, however often the target is asked."""
    prepared: list[str] = []

    def prepare_attempt(attempt: Attempt, request: Request) -> Request:
        prepared.append(attempt.target.instance.id)
        return request.replace(fitted=attempt.target.instance.id)

    begun = now()
    guard = Gate(lambda attempt: Refused(LocalRateLimited("full"), 1.0) if now() < begun + 1.9 else None)
    fake = fake_provider_plugin({"a": [Overloaded("busy"), Reply()], "b": Reply()})
    async with client_of(fake, guard, Decides(SAME), plugin("request-fit", prepare_attempt=prepare_attempt)) as client:
        await client.chat("Hello.")
    assert prepared == ["a", "b"]
    assert [asked.attempt.request.get("fitted") for asked in fake.asked] == ["a", "a"]
    assert fake.asked[0].attempt.call.request.get("fitted") is None


# Deferred functions ---------------------------------------------------------------------------------------------------

ENDINGS = ["ok", "failed", "cancelled", "refused", "late", "raised"]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_deferred_functions_run_once_in_reverse(ending: str) -> None:
    """However an attempt ends; each runs whatever the others do."""
    order: list[tuple[int, str]] = []

    def rate_check(attempt: Attempt) -> Refused | None:
        for number in (1, 2, 3, 4):
            attempt.defer(lambda outcome, number=number: order.append((number, outcome.status)))  # type: ignore[misc]
            attempt.defer(raising(ValueError("a deferred function")))
        if ending == "raised":
            raise ValueError("a gate")
        return Refused(LocalRateLimited("full")) if ending == "refused" else None

    said = Overloaded("busy") if ending == "failed" else Reply(after=0.0 if ending == "ok" else 60.0)
    async with client_of(fake_provider_plugin(said), plugin("rate-x", rate_check=rate_check)) as client:
        task = asyncio.ensure_future(client.chat("Hello.", timeout=5.0 if ending == "late" else None))
        await asyncio.sleep(1.0)
        if ending == "cancelled":
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    status = {"late": "failed", "raised": "failed"}.get(ending, ending)
    assert order == [(number, status) for number in (4, 3, 2, 1)]


async def test_a_deferred_function_that_raises_a_cancellation_keeps_none_from_running() -> None:
    """It may look at a future that was cancelled."""
    order: list[int] = []

    def rate_check(attempt: Attempt) -> None:
        attempt.defer(lambda outcome: order.append(1))
        attempt.defer(raising(asyncio.CancelledError()))  # type: ignore[arg-type]

    async with client_of(fake_provider_plugin(), plugin("rate-x", rate_check=rate_check)) as client:
        await client.chat("Hello.")
    assert order == [1]


async def test_an_observer_that_raises_a_cancellation_keeps_nothing_from_running() -> None:
    """NOTIFY is isolated, whatever is raised."""
    order: list[int] = []
    defers = plugin("rate-x", rate_check=lambda attempt: attempt.defer(lambda outcome: order.append(1)))

    def after_attempt(attempt: Attempt) -> None:
        raise asyncio.CancelledError

    async with client_of(fake_provider_plugin(), defers, plugin("metrics-x", after_attempt=after_attempt)) as client:
        assert (await client.chat("Hello.")).text == "ok"
    assert order == [1]


@pytest.mark.parametrize("phase", ["prepare_attempt", "rate_check", "provider", "waiting", "on_failure", "pause"])
async def test_cancelling_at_any_point_leaves_nothing(phase: str) -> None:
    """Wherever the call is when it is cancelled: counts go back, and the metric says so, once."""

    async def hangs(attempt: Attempt) -> None:
        await asyncio.sleep(60.0)

    steps: dict[str, list[PluginSource]] = {
        "prepare_attempt": [plugin("request-x", prepare_attempt=hangs)],
        "rate_check": [plugin("rate-x", rate_check=hangs)],
        "provider": [],
        "waiting": [Gate(lambda attempt: Refused(LocalRateLimited("full"), 60.0))],
        "on_failure": [plugin("failure-x", on_failure=hangs)],
        "pause": [Decides(Retry("same", 60.0))],
    }
    said: Any = Overloaded("busy") if phase in ("on_failure", "pause") else Reply(after=60.0)
    sees = Observer()
    limits = {"prepare_attempt": 100.0, "rate_check": 100.0, "on_failure": 100.0}
    async with client_of(fake_provider_plugin(said), sees, *steps[phase], step_timeouts=limits) as client:
        task = asyncio.ensure_future(client.chat("Hello."))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [metric.status for metric in sees.metrics] == ["cancelled"]


# Deadlines ------------------------------------------------------------------------------------------------------------


async def test_the_deadline_holds_while_the_provider_works() -> None:
    """The attempt has failed then, and its connection is closed."""
    fake = fake_provider_plugin(Reply(after=60.0))
    async with client_of(fake) as client:
        begun = now()
        error = await failure(client, timeout=5.0)
        assert now() - begun == pytest.approx(5.0, abs=0.1)
    assert (error.code, fake.asked[0].ended) == ("deadline_exceeded", "cancelled")


async def test_the_deadline_holds_while_a_provider_does_not_speak_of_clocks() -> None:
    """Whatever a provider awaits before its first phase, the call ends in time."""

    class Silent(FakeProviderPlugin):
        pass

    fake = fake_provider_plugin()
    original = fake._make

    def make(self: Any, setup: Any) -> Any:
        provider = original(self, setup)

        async def chat(attempt: Attempt, transport: Any) -> Any:
            await asyncio.sleep(60.0)

        provider.chat = chat  # type: ignore[method-assign, assignment]
        return provider

    fake._make = make  # type: ignore[method-assign]
    async with client_of(fake) as client:
        await (await client.runtime()).fleet.registry.providers["fake"].open()
        begun = now()
        assert (await failure(client, timeout=5.0)).code == "deadline_exceeded"
        assert now() - begun == pytest.approx(5.0, abs=0.1)


async def test_the_deadline_holds_while_a_connection_is_brought() -> None:
    """Opening a transport may take long; the call does not."""

    async def connect(instance: Any) -> Any:
        await asyncio.sleep(20.0)

    async with client_of(fake_provider_plugin(), plugin("connect-x", connect=connect)) as client:
        await (await client.runtime()).fleet.registry.providers["fake"].open()
        begun = now()
        assert (await failure(client, timeout=5.0)).code == "deadline_exceeded"
        assert now() - begun == pytest.approx(5.0, abs=0.1)


async def test_a_deadline_that_passes_before_sending_blames_no_instance() -> None:
    """The instance was never asked, so it is not sick."""

    async def hangs(attempt: Attempt) -> None:
        await asyncio.sleep(60.0)

    async with client_of(
        fake_provider_plugin(), plugin("rate-x", rate_check=hangs), step_timeouts={"rate_check": 50.0}
    ) as client:
        assert (await failure(client, timeout=5.0)).code == "deadline_exceeded"
        instances = (await client.runtime()).instances
        (state,) = [instances.state(instance) for instance in instances]
        assert (state.health, state.streak) == ("unknown", 0)


# Choosing -------------------------------------------------------------------------------------------------------------


def least_in_flight(runtime: Callable[[], Runtime]) -> Kind:
    def select_instance(call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...]:
        return tuple(sorted(candidates, key=lambda target: runtime().instances.state(target.instance).in_flight))

    return plugin("select-least", select_instance=select_instance)


async def test_a_hundred_calls_spread_evenly() -> None:
    """100 calls at once over 4 instances go 25 to each: the next chooser sees the last choice, gates or not."""
    for guards in ([], [Gate()]):
        fake = fake_provider_plugin({name: Reply(after=1.0) for name in "abcd"})
        holder: list[Runtime] = []
        async with client_of(fake, least_in_flight(lambda: holder[0]), *guards) as client:  # noqa: B023
            holder.append(await client.runtime())
            await asyncio.gather(*(client.chat("Hello.") for _ in range(100)))
        served = [asked.instance for asked in fake.asked]
        assert [served.count(name) for name in "abcd"] == [25] * 4


async def test_an_alias_is_tried_in_the_users_order() -> None:
    """All instances of the first model, then those of the second."""
    fake = fake_provider_plugin({"a": Overloaded("busy"), "b": Overloaded("busy")}, models=("big", "small"))
    settings = {"models": {"fast": ["fake/big", "fake/small"]}, "retry": {"floor": 100}}
    async with client_of(fake, Decides(NEXT), **settings) as client:
        assert (await failure(client, model="fast")).attempts == 6
    asked = [(asked.attempt.target.model, asked.instance) for asked in fake.asked]
    assert asked[:4] == [("big", "a"), ("big", "b"), ("small", "a"), ("small", "b")]
    assert [asked.attempt.target.place for asked in fake.asked[:4]] == [0, 0, 1, 1]


# Instances that go away -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [SAME, NEXT], ids=["same", "next"])
async def test_an_instance_may_go_away_while_a_call_waits_for_it(where: Retry) -> None:
    """The call goes on with what is left."""
    fake = fake_provider_plugin({"a": Overloaded("busy"), "b": Reply()})
    async with client_of(fake, Decides(Retry(where.where, 5.0))) as client:
        task = asyncio.ensure_future(client.chat("Hello."))
        await asyncio.sleep(1.0)
        instances = (await client.runtime()).instances
        instances.drain(next(iter(instances)))
        assert (await task).instance == "b"


async def test_an_instance_may_go_away_while_another_ones_gate_is_asked() -> None:
    """A candidate that is gone by the time its turn comes is passed over."""
    fake = fake_provider_plugin({"a": Reply(), "b": Reply(), "c": Reply()})
    holder: list[Runtime] = []

    def refuse(attempt: Attempt) -> Refused | None:
        if attempt.target.instance.id != "a":
            return None
        instances = holder[0].instances
        instances.drain(next(instance for instance in instances if instance.id == "b"))
        return Refused(LocalRateLimited("full"), 1.0)

    async with client_of(fake, Gate(refuse)) as client:
        holder.append(await client.runtime())
        assert (await client.chat("Hello.")).instance == "c"


async def test_a_draining_instance_finishes_what_it_has() -> None:
    """It is forgotten with its last attempt."""
    async with client_of(fake_provider_plugin({"a": Reply(after=5.0)})) as client:
        task = asyncio.ensure_future(client.chat("Hello."))
        await asyncio.sleep(1.0)
        instances = (await client.runtime()).instances
        instances.drain(next(iter(instances)))
        assert len(instances) == 1
        assert (await task).text == "ok"
        assert len(instances) == 0
        assert isinstance(await failure(client), ModelNotFound)


# Counts ---------------------------------------------------------------------------------------------------------------


async def test_the_core_counts_what_became_of_attempts() -> None:
    """Successes make healthy and are timed; failures that speak of the instance make unhealthy, others do not."""
    replies = [Reply(after=2.0), Overloaded("busy"), InvalidRequest("no"), Reply(after=4.0)]
    async with client_of(fake_provider_plugin(replies)) as client:
        runtime = await client.runtime()
        (state,) = [runtime.instances.state(instance) for instance in runtime.instances]
        seen = []
        for _ in replies:
            await asyncio.gather(client.chat("Hello."), return_exceptions=True)
            seen.append((state.attempts, state.failures, state.streak, state.health))
        assert state.latency == pytest.approx(0.8 * 2.0 + 0.2 * 4.0)
    assert seen == [(1, 0, 0, "healthy"), (2, 1, 1, "unhealthy"), (3, 2, 1, "unhealthy"), (4, 2, 0, "healthy")]


async def test_a_provider_that_fails_badly_is_named() -> None:
    """What it raises beyond the tree becomes an error of its own, linked to its cause."""
    async with client_of(fake_provider_plugin(Reply(error=KeyError("x")))) as client:
        error = await failure(client)
    assert isinstance(error, InternalError)
    assert error.message == "Provider fake failed: KeyError."
    assert isinstance(error.__cause__, KeyError)


async def test_a_provider_that_is_cancelled_by_itself_is_named() -> None:
    """A CancelledError that nobody asked for is a failure of the attempt, and no cancellation of the call."""
    async with client_of(fake_provider_plugin(Reply(error=asyncio.CancelledError()))) as client:
        error = await failure(client)
    assert isinstance(error, InternalError)
    assert "Provider fake raised CancelledError, but the call was not cancelled" in error.message
