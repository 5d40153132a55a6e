"""Flights of whole answers: identical calls at the same time are one upstream call, and nobody is hurt by another."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from localagent import (
    Attempt,
    CacheEntry,
    CachePolicy,
    Call,
    ChatRequest,
    ChatResponse,
    Client,
    LocalAgentError,
    Metric,
    Outcome,
    Plugin,
    Principal,
    Request,
    Retry,
    hookimpl,
)
from localagent.errors import Draining, LocalRefusal, NotAllowed, Overloaded, UpstreamTimeout
from localagent.plugin_api.plugin import PluginSource
from localagent_testing import Reply, fake_provider_plugin

pytestmark = pytest.mark.virtual

Kind = type[Plugin]
SHARED = {"temperature": 0}
ON = {"flights": True}


class Observer(Plugin):
    """Writes down metrics and outcomes."""

    name = "metrics-observer"

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []
        self.outcomes: list[str] = []

    @hookimpl
    def after_attempt(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome.status)

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.metrics.append(metric)


class Cache(Plugin):
    """A dictionary that needs ``slow`` seconds to store."""

    name = "cache-dict"

    def __init__(self, slow: float = 0.0) -> None:
        super().__init__()
        self.slow = slow
        self.entries: dict[Any, CacheEntry] = {}

    @hookimpl
    async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
        return next((entry for key in keys if (entry := self.entries.get(key))), None)

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        await asyncio.sleep(self.slow)
        self.entries[entry.key] = entry


def plugin(name: str, **steps: Callable[..., Any]) -> Kind:
    """A plugin with these functions as its steps."""
    methods = {hook: staticmethod(function) for hook, function in steps.items()}
    for method in methods.values():
        hookimpl(method.__func__)
    return type("Made", (Plugin,), {"name": name, **methods})


@asynccontextmanager
async def client_of(*plugins: PluginSource, **settings: Any) -> AsyncIterator[Client]:
    """A client that shares; at the end no flight is open and nothing is in flight."""
    settings = {"health": {"enabled": False}, "sharing": ON, **settings}
    async with Client(settings, plugins=plugins, environment={}, seed=1) as client:
        yield client
        await asyncio.sleep(100.0)
        runtime = await client.runtime()
        assert runtime.engine.flights is not None
        assert runtime.engine.flights.open == 0
        assert not runtime.engine.calls
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


def chat(client: Client, text: str = "Hello.", **more: Any) -> asyncio.Task[ChatResponse]:
    return asyncio.ensure_future(client.chat(text, **{**SHARED, **more}))


async def outcomes(*tasks: asyncio.Task[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def left(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# What is shared, and what is not --------------------------------------------------------------------------------------


async def test_identical_calls_are_one() -> None:
    """All get the same answer, each with an id of its own, and say who shared."""
    fake = fake_provider_plugin([Reply("one", after=1.0), Reply("two")])
    async with client_of(fake) as client:
        answers = await asyncio.gather(*(chat(client) for _ in range(5)))
        assert [answer.text for answer in answers] == ["one"] * 5
        assert len({answer.request_id for answer in answers}) == 5
        assert sorted(answer.coalesced for answer in answers) == [False, True, True, True, True]
        assert len(fake.asked) == 1
        assert (await chat(client)).text == "two"


@pytest.mark.parametrize("shares", [True, False, None])
@pytest.mark.parametrize("cached", [True, False])
async def test_the_setting_or_a_cache_switches_flights_on(shares: bool | None, cached: bool) -> None:
    """Left out, they are there where a cache is."""
    fake = fake_provider_plugin(Reply(after=1.0))
    sharing = {} if shares is None else {"flights": shares}
    async with Client({"sharing": sharing}, plugins=[fake, *([Cache()] if cached else [])], environment={}) as client:
        await asyncio.gather(chat(client), chat(client))
    assert len(fake.asked) == (1 if shares or (shares is None and cached) else 2)


async def test_without_sharing_no_task_is_made() -> None:
    """The attempts run in the caller's own."""
    seen: list[asyncio.Task[Any] | None] = []
    fake = fake_provider_plugin(lambda attempt: seen.append(asyncio.current_task()) or Reply())  # type: ignore[func-returns-value]
    async with Client({"health": {"enabled": False}}, plugins=[fake], environment={}) as client:
        await client.chat("Hello.", **SHARED)
    assert seen == [asyncio.current_task()]


@pytest.mark.parametrize(
    "other",
    [
        {"text": "Another."}, {"temperature": 0.0}, {"seed": 1}, {"vendor": 1}, {"tenant": "b"},
        {"cache": False}, {"cache": CachePolicy(lookup=False)}, {"cache": CachePolicy(store=False)},
        {"cache": CachePolicy(sample=1)},
    ],
)  # fmt: skip
async def test_calls_that_differ_are_asked_apart(other: dict[str, Any]) -> None:
    """In any field, in the tenant, in the sample; ``no-cache`` and ``no-store`` neither join nor open."""
    fake = fake_provider_plugin(Reply(after=1.0))
    async with client_of(fake) as client:
        await asyncio.gather(chat(client), chat(client, **other))
        assert len(fake.asked) == 2
        await asyncio.gather(chat(client, **other), chat(client))
        assert len(fake.asked) == 4


async def test_calls_that_may_not_be_shared_are_not() -> None:
    """Where the setting allows deterministic requests only, others are asked each for itself."""
    fake = fake_provider_plugin(Reply(after=1.0))
    async with client_of(fake) as client:
        await asyncio.gather(client.chat("Hello."), client.chat("Hello."))
        assert len(fake.asked) == 2


async def test_every_operation_has_flights() -> None:
    """Completions and embeddings too, each for itself."""
    fake = fake_provider_plugin(Reply("ok", after=1.0))
    async with client_of(fake) as client:
        await asyncio.gather(
            client.embed("Hello."), client.embed("Hello."),
            client.complete("Hello.", **SHARED), client.complete("Hello.", **SHARED),
        )  # fmt: skip
        assert sorted(asked.attempt.call.operation for asked in fake.asked) == ["complete", "embed"]


async def test_what_a_user_does_to_an_answer_touches_no_other() -> None:
    """The facts of an answer are each user's own; so are those of a cache's entry."""
    known = Cache()
    facts: dict[str, Any] = {"load_seconds": 1.0}
    fake = fake_provider_plugin(Reply(after=1.0))
    inner = fake._make

    def made(self: Any, setup: Any) -> Any:
        provider = inner(self, setup)
        whole = provider.chat

        async def chat(attempt: Any, transport: Any) -> Any:
            return replaced(await whole(attempt, transport), facts)

        provider.chat = chat
        return provider

    fake._make = made  # type: ignore[method-assign]
    async with client_of(fake, known) as client:
        one, two = await asyncio.gather(chat(client), chat(client))
        one.facts.clear()
        assert two.facts == {"load_seconds": 1.0}
        await asyncio.sleep(1.0)
        hit = await chat(client)
        hit.facts["mine"] = 1
        assert (await chat(client)).facts == {"load_seconds": 1.0}


def replaced(response: ChatResponse, facts: dict[str, Any]) -> ChatResponse:
    return msgspec.structs.replace(response, facts=dict(facts))


# Coming and going -----------------------------------------------------------------------------------------------------


async def test_a_leaver_touches_nobody() -> None:
    """Also the one that opened the flight."""
    fake = fake_provider_plugin(Reply("one", after=2.0))
    async with client_of(fake) as client:
        opener, middle, last = chat(client), chat(client), chat(client)
        await asyncio.sleep(1.0)
        await left(opener)
        await left(middle)
        assert (await last).text == "one"
    assert [asked.ended for asked in fake.asked] == ["answered"]


async def test_the_last_to_leave_ends_the_flight() -> None:
    """The server learns it at once, and the next caller asks it again."""
    sees, fake = Observer(), fake_provider_plugin([Reply(after=9.0), Reply("two")])
    async with client_of(fake, sees) as client:
        tasks = [chat(client), chat(client)]
        await asyncio.sleep(1.0)
        for task in tasks:
            await left(task)
        assert (await chat(client)).text == "two"
    assert [asked.ended for asked in fake.asked] == ["cancelled", "answered"]
    assert sees.outcomes == ["cancelled", "ok"]


async def test_a_flight_that_is_left_before_it_begins_is_gone() -> None:
    """In the same turn of the event loop."""
    fake = fake_provider_plugin(Reply("one"))
    async with client_of(fake) as client:
        task = chat(client)
        await asyncio.sleep(0)
        runtime = await client.runtime()
        assert runtime.engine.flights is not None
        assert runtime.engine.flights.open == 1
        await left(task)
        assert runtime.engine.flights.open == 0
        assert (await chat(client)).text == "one"


async def test_removal_is_by_identity() -> None:
    """The end of a flight that was left does not take the next one under its key from the table."""
    fake = fake_provider_plugin([Reply(after=5.0), Reply("two", after=5.0), Reply("three")])
    async with client_of(fake) as client:
        first = chat(client)
        await asyncio.sleep(1.0)
        first.cancel()
        await asyncio.sleep(0)
        second = chat(client)
        await asyncio.sleep(1.0)
        third = chat(client)
        assert [one.text for one in await asyncio.gather(second, third)] == ["two", "two"]


async def test_the_flight_lasts_as_long_as_its_most_patient_waiter() -> None:
    """One with a shorter timeout ends at its own time; a later one makes the flight last longer."""
    fake = fake_provider_plugin(Reply("late", after=9.0))
    async with client_of(fake) as client:
        begun = client_time()
        short, middle, long = chat(client, timeout=1.0), chat(client, timeout=4.0), chat(client, timeout=20.0)
        with pytest.raises(UpstreamTimeout) as caught:
            await short
        assert (caught.value.phase, client_time() - begun) == ("total", pytest.approx(1.0, abs=0.05))
        with pytest.raises(UpstreamTimeout):
            await middle
        assert (await long).text == "late"
        assert len(fake.asked) == 1


async def test_the_last_waiters_deadline_is_the_flights() -> None:
    """The attempt then fails by the deadline, as that of a call alone does."""
    sees, fake = Observer(), fake_provider_plugin(Reply(after=9.0))
    async with client_of(fake, sees) as client:
        assert {type(one) for one in await outcomes(chat(client, timeout=1.0), chat(client, timeout=2.0))} == {
            UpstreamTimeout
        }
    assert sees.outcomes == ["failed"]
    assert [(metric.status, metric.code) for metric in sees.metrics] == [("failed", "deadline_exceeded")] * 2


def client_time() -> float:
    return asyncio.get_running_loop().time()


# Failures -------------------------------------------------------------------------------------------------------------


async def test_a_failure_reaches_all_who_are_there() -> None:
    """Each gets an error of its own, with its own id; nobody is elected to ask again, and the next call is asked."""
    fake = fake_provider_plugin([Reply(error=Overloaded("busy", retry_after=3.0), after=1.0), Reply("two")])
    async with client_of(fake) as client:
        errors = await outcomes(*(chat(client) for _ in range(3)))
        assert [(type(error), error.message, error.retry_after, error.attempts) for error in errors] == [
            (Overloaded, "busy", 3.0, 1)
        ] * 3
        assert len({error.request_id for error in errors}) == len({id(error) for error in errors}) == 3
        assert {error.target for error in errors} == {"fake/m at one"}
        assert (await chat(client)).text == "two"


async def test_a_flight_is_tried_again_as_a_call_is() -> None:
    """Its attempts are counted once, on the flight."""

    async def on_failure(attempt: Attempt) -> Retry:
        return Retry("same", after=1.0)

    sees, fake = Observer(), fake_provider_plugin([Overloaded("busy"), Reply("second")])
    async with client_of(fake, sees, plugin("failure-x", on_failure=on_failure)) as client:
        assert [one.text for one in await asyncio.gather(chat(client), chat(client))] == ["second", "second"]
        state = (await client.runtime()).instances.state(next(iter((await client.runtime()).instances)))
        assert state.attempts == 2
    assert sorted((metric.coalesced, metric.attempts) for metric in sees.metrics) == [(False, 2), (True, 0)]


async def test_a_defect_is_typed_and_reaches_all() -> None:
    """And no waiter waits for ever."""

    class Broken(Exception): ...

    fake = fake_provider_plugin(Reply(error=Broken("secret"), after=1.0))
    async with client_of(fake) as client:
        for error in await outcomes(chat(client), chat(client)):
            assert isinstance(error, LocalAgentError)
            assert "secret" not in str(error)


async def test_a_flight_that_somebody_cancels_is_an_error_of_its_waiters() -> None:
    """They themselves were not cancelled."""
    fake = fake_provider_plugin(Reply(after=9.0))
    async with client_of(fake) as client:
        tasks = [chat(client), chat(client)]
        await asyncio.sleep(1.0)
        (flight,) = [task for task in asyncio.all_tasks() if task.get_name() == "localagent flight"]
        flight.cancel()
        assert [type(one) for one in await outcomes(*tasks)] == [Draining, Draining]


async def test_closing_the_client_ends_flights() -> None:
    """All waiters hear of it, and nothing goes on."""
    fake = fake_provider_plugin(Reply(after=9.0))
    async with Client({"sharing": ON, "health": {"enabled": False}}, plugins=[fake], environment={}) as client:
        tasks = [chat(client) for _ in range(3)]
        await asyncio.sleep(1.0)
    assert [type(one) for one in await outcomes(*tasks)] == [Draining] * 3
    assert [asked.ended for asked in fake.asked] == ["cancelled"]


# Storing --------------------------------------------------------------------------------------------------------------


async def test_the_answer_is_stored_behind_the_waiters() -> None:
    """Who comes until it is stored gets the flight's answer, and then the cache's; it is stored once."""
    fake, known = fake_provider_plugin([Reply("one", after=1.0), Reply("two")]), Cache(slow=3.0)
    async with client_of(fake, known) as client:
        begun = client_time()
        await asyncio.gather(chat(client), chat(client))
        assert client_time() - begun == pytest.approx(1.0, abs=0.05)
        assert known.entries == {}
        between = await chat(client)
        assert (between.text, between.coalesced, between.cached) == ("one", True, "")
        assert client_time() - begun == pytest.approx(1.0, abs=0.05)
        await asyncio.sleep(4.0)
        assert len(known.entries) == 1
        hit = await chat(client)
        assert (hit.text, hit.cached, hit.coalesced, hit.age) == ("one", "cache-dict", False, pytest.approx(0, abs=5))
    assert len(fake.asked) == 1


async def test_an_answer_that_is_being_stored_may_be_too_old() -> None:
    """A call that wants it fresher is asked again."""
    fake, known = fake_provider_plugin([Reply("one"), Reply("two")]), Cache(slow=3.0)
    async with client_of(fake, known) as client:
        await chat(client)
        assert (await chat(client, cache=CachePolicy(max_age=0.0))).text == "two"


async def test_what_is_not_stored_is_shared_at_the_same_time_only() -> None:
    """An answer that was cut by its length serves those who wait for it, and nobody after them."""
    fake, known = fake_provider_plugin([Reply("cut", after=1.0, finish="length"), Reply("whole")]), Cache()
    async with client_of(fake, known) as client:
        assert [one.text for one in await asyncio.gather(chat(client), chat(client))] == ["cut", "cut"]
        assert (await chat(client)).text == "whole"


async def test_a_call_that_only_a_cache_may_answer_joins_no_flight() -> None:
    """It would wait for a model."""
    fake = fake_provider_plugin(Reply(after=1.0))
    async with client_of(fake) as client:
        task = chat(client)
        await asyncio.sleep(0.5)
        with pytest.raises(LocalRefusal):
            await chat(client, cache=CachePolicy(only=True))
        await task


# What is reported about it --------------------------------------------------------------------------------------------


async def test_exactly_one_metric_of_a_flight_carries_its_attempts() -> None:
    """Each waiter has a metric; those who left before the end and all but one of the others are coalesced."""
    sees, fake = Observer(), fake_provider_plugin(Reply("one", after=2.0))
    async with client_of(fake, sees) as client:
        tasks = [chat(client) for _ in range(4)]
        await asyncio.sleep(1.0)
        await left(tasks[0])
        await asyncio.gather(*tasks[1:])
    assert [(metric.status, metric.coalesced, metric.attempts) for metric in sees.metrics] == [
        ("cancelled", True, 0), ("ok", False, 1), ("ok", True, 0), ("ok", True, 0),
    ]  # fmt: skip
    assert {(metric.model, metric.instance) for metric in sees.metrics} == {("fake/m", "one")}
    assert all(metric.usage is not None for metric in sees.metrics[1:])


async def test_a_flight_that_all_left_is_carried_by_the_last() -> None:
    """So its attempt is in somebody's figures."""
    sees, fake = Observer(), fake_provider_plugin(Reply(after=9.0))
    async with client_of(fake, sees) as client:
        tasks = [chat(client) for _ in range(3)]
        await asyncio.sleep(1.0)
        for task in tasks:
            await left(task)
    assert [(metric.coalesced, metric.attempts) for metric in sees.metrics] == [(True, 0), (True, 0), (False, 1)]


async def test_a_receipt_says_that_the_work_was_shared() -> None:
    """It shows the attempts anyway, and the steps of its own call."""

    async def pre_request(call: Call, request: Request) -> None: ...

    async with client_of(fake_provider_plugin(Reply(after=1.0)), plugin("guard-x", pre_request=pre_request)) as client:
        answers = await asyncio.gather(chat(client, receipt=True), chat(client, receipt=True))
    receipts = [answer.receipt for answer in answers]
    assert [(one.coalesced, len(one.attempts)) for one in receipts] == [(False, 1), (True, 1)]
    assert {step.hook for one in receipts for step in one.steps} == {"pre_request"}
    assert len({one.call for one in receipts}) == 2


async def test_facts_that_steps_of_the_attempts_leave_reach_every_waiter() -> None:
    """Those of a waiter's own steps stay its own."""
    reported: list[dict[str, Any]] = []

    async def pre_request(call: Call, request: Request) -> None:
        call.facts["who"] = call.id

    async def rate_check(attempt: Attempt) -> None:
        attempt.call.facts["left"] = 7

    def record_metric(call: Call, metric: Metric) -> None:
        reported.append(dict(call.facts, id=call.id))

    steps = plugin("rate-x", pre_request=pre_request, rate_check=rate_check, record_metric=record_metric)
    async with client_of(fake_provider_plugin(Reply(after=1.0)), steps) as client:
        await asyncio.gather(chat(client), chat(client))
    assert [(facts["who"] == facts["id"], facts["left"]) for facts in reported] == [(True, 7), (True, 7)]


async def test_a_flight_is_as_urgent_as_its_most_urgent_waiter() -> None:
    """A queue that looks at its priority sees the highest."""
    seen: list[int] = []

    async def pre_request(call: Call, request: Request) -> None:
        call.priority = request.document["metadata"]["priority"]

    async def rate_check(attempt: Attempt) -> None:
        await asyncio.sleep(1.0)  # it queues; meanwhile the others join
        seen.append(attempt.call.priority)

    steps = plugin("rate-x", pre_request=pre_request, rate_check=rate_check)
    async with client_of(fake_provider_plugin(Reply(after=1.0)), steps) as client:
        await asyncio.gather(*(chat(client, metadata={"priority": one}) for one in (1, 5, 3)))
    assert seen == [5]


# Others ---------------------------------------------------------------------------------------------------------------


async def test_a_child_call_joins_no_flight_that_may_wait_for_it() -> None:
    """A step of a flight that asks the very same question gets an answer instead of waiting for itself."""

    class Asks(Plugin):
        name = "request-asks"

        @hookimpl
        async def prepare_attempt(self, attempt: Attempt, request: Request) -> None:
            await self.core.send(ChatRequest(dict(request.document)), parent=attempt.call)

    fake = fake_provider_plugin(Reply("one", after=1.0))
    async with client_of(fake, Asks) as client:
        assert [one.text for one in await asyncio.gather(chat(client), chat(client))] == ["one", "one"]
    assert len(fake.asked) == 2


async def test_a_flight_answers_nobody_who_may_not_ask() -> None:
    """Who may not use the model is refused, though the same question of the same tenant is under way."""
    fake = fake_provider_plugin(Reply(after=1.0))
    async with client_of(fake) as client:
        request = ChatRequest({"messages": [{"role": "user", "content": "Hello."}], "model": "fake/m", **SHARED})
        first = asyncio.ensure_future(client.send(request, principal=Principal("t")))
        await asyncio.sleep(0.5)
        with pytest.raises(NotAllowed):
            await client.send(request, principal=Principal("t", models=frozenset({"other/m"})))
        await first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_a_forked_child_joins_no_flight_of_its_parent() -> None:
    """It would wait for a task of another process."""
    parent = os.getpid()
    fake = fake_provider_plugin(lambda attempt: Reply(str(os.getpid()), after=5.0 if os.getpid() == parent else 0.0))
    async with client_of(fake) as client:
        task = chat(client)
        await asyncio.sleep(1.0)
        child = os.fork()
        if child == 0:
            os._exit(_asked_in_child(client))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert (await task).text == str(parent)


def _asked_in_child(client: Client) -> int:
    async def ask() -> str:
        text = (await chat(client)).text
        await client.aclose()
        return text

    try:
        return 0 if asyncio.run(asyncio.wait_for(ask(), 20)) == str(os.getpid()) else 2
    except BaseException:  # whatever happens in the child must end the child
        return 3
