"""A call from pre_request to record_metric, and what a step that does not behave does to it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import (
    CacheEntry,
    CachePolicy,
    Call,
    ChatRequest,
    Client,
    LocalAgentError,
    Metric,
    Plugin,
    Principal,
    Request,
    Retry,
    hookimpl,
)
from localagent.errors import (
    InternalError,
    NotAllowed,
    NotCached,
    Overloaded,
    PluginError,
    StreamInterrupted,
    UpstreamTimeout,
)
from localagent.pipeline.pipeline import core_specs
from localagent.plugin_api import OnRaise
from localagent.plugin_api.kinds import HookSpec
from localagent.plugin_api.plugin import PluginSource
from localagent.runtime import Runtime
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProviderPlugin

pytestmark = pytest.mark.virtual

Kind = type[Plugin]
SHARED = {"temperature": 0}


def plugin(name: str, **steps: Callable[..., Any]) -> Kind:
    """A plugin with these functions as its steps; they take the hook's arguments without ``self``."""
    methods = {hook: staticmethod(function) for hook, function in steps.items()}
    for method in methods.values():
        hookimpl(method.__func__)
    return type("Made", (Plugin,), {"name": name, **methods})


class Observer(Plugin):
    """Hears how calls end, and which failures are decided about."""

    name = "metrics-observer"

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []
        self.failures: list[LocalAgentError] = []

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.metrics.append(metric)

    @hookimpl(before="failure")
    async def on_failure(self, error: LocalAgentError) -> None:
        self.failures.append(error)


class Cache(Plugin):
    """A dictionary."""

    def __init__(self, name: str = "cache-first") -> None:
        super().__init__()
        self.name = name
        self.entries: dict[Any, CacheEntry] = {}

    @hookimpl
    async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
        return next((entry for key in keys if (entry := self.entries.get(key))), None)

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        self.entries[entry.key] = entry


@asynccontextmanager
async def client_of(*plugins: PluginSource, **settings: Any) -> AsyncIterator[Client]:
    """A client without health checks; at the end nothing is in flight, and what was stored behind is stored."""
    settings = {"health": {"enabled": False}, **settings}
    async with Client(settings, plugins=plugins, environment={}, seed=1) as client:
        yield client
        await stored()
        runtime = await client.runtime()
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )
        assert not runtime.engine.streams


async def stored() -> None:
    while tasks := [task for task in asyncio.all_tasks() if task.get_name() == "localagent cache_store"]:
        await asyncio.wait(tasks)


# Every hook, and every way not to behave ------------------------------------------------------------------------------


def raises(*arguments: Any) -> Any:
    raise ValueError("secret")


async def hangs(*arguments: Any) -> Any:
    await asyncio.sleep(100_000)


def returns_nonsense(*arguments: Any) -> Any:
    return 42


def is_cancelled(*arguments: Any) -> Any:
    raise asyncio.CancelledError


BEHAVIOURS = {"raises": raises, "hangs": hangs, "wrong": returns_nonsense, "cancelled": is_cancelled}


async def chatted(client: Client) -> Any:
    return (await client.chat("Hello.", **SHARED)).text


async def streamed(client: Client) -> Any:
    async with client.stream("Hello.", **SHARED) as stream:
        return await stream.text()


async def counted(client: Client) -> Any:
    return await client.count_tokens("Hello.")


async def listed(client: Client) -> Any:
    return [model.name for model in await client.models(timeout=1000.0)]


def uses(spec: HookSpec) -> list[tuple[Callable[[Client], Awaitable[Any]], Any]]:
    """What makes the core ask a hook, and what comes of it when no step is there."""
    if spec.name == "tokenize":
        return [(counted, None)]
    if spec.name in ("list_models", "models_listed"):
        return [(listed, ["fake/m"])]
    chat, stream = (chatted, "ok"), (streamed, "ok")
    return {"check_answer": [chat], "wrap_stream": [stream]}.get(spec.name, [chat, stream])


KNOWN: dict[str, str] = {}


def known(case: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(strict=True, reason=KNOWN[case])] if case in KNOWN else []


CASES = [
    pytest.param(
        spec,
        behaviour,
        use,
        result,
        id=f"{spec.name}-{behaviour}-{use.__name__}",
        marks=known(f"{spec.name}-{behaviour}"),
    )
    for spec in core_specs().values()
    if not spec.pending
    for behaviour in BEHAVIOURS
    if not (behaviour == "hangs" and spec.sync)
    for use, result in uses(spec)
]


def misbehaving(spec: HookSpec, behaviour: str) -> Kind:
    """A plugin whose only step behaves like that; it is a coroutine function where the hook allows one."""
    function = BEHAVIOURS[behaviour]

    async def awaiting(self: Plugin) -> Any:
        result = function()
        return await result if inspect.isawaitable(result) else result

    def plain(self: Plugin) -> Any:
        return function()

    step = plain if spec.sync else awaiting
    step.__name__ = spec.name
    return type("Bad", (Plugin,), {"name": "request-bad", spec.name: hookimpl(step)})


async def outcome_of(client: Client, use: Callable[[Client], Awaitable[Any]]) -> Any:
    try:
        return await use(client)
    except LocalAgentError as error:
        return error


@pytest.mark.parametrize(("spec", "behaviour", "use", "result"), CASES)
async def test_a_step_that_misbehaves_does_what_its_hook_says(
    spec: HookSpec, behaviour: str, use: Callable[[Client], Awaitable[Any]], result: Any
) -> None:
    """Every hook, whether its step raises, hangs, returns nonsense or raises a cancellation, keeps its contract."""
    sees, bad = Observer(), misbehaving(spec, behaviour)
    said = Overloaded("busy") if spec.name == "on_failure" else Reply()
    fake = fake_provider_plugin(said)
    if spec.on_raise is OnRaise.REFUSE and spec.name == "provide":
        with pytest.raises(PluginError, match="request-bad"):
            async with client_of(fake, sees, bad):
                pass
        return
    async with client_of(fake, sees, bad, Cache()) as client:
        outcome = await outcome_of(client, use)
        await stored()
        if spec.name == "collect_stats":
            await client.stats()
        failures = (await client.runtime()).pipeline.failures.counts[("request-bad", spec.name)]
    if spec.on_raise in (OnRaise.SKIP, OnRaise.ISOLATE):
        nonsense_heard = spec.on_raise is OnRaise.ISOLATE and behaviour == "wrong"
        assert (outcome, failures) == (result, 0 if nonsense_heard else 1)
    else:
        if isinstance(outcome, StreamInterrupted):
            outcome = outcome.cause
        assert isinstance(outcome, InternalError)
        assert "request-bad" in outcome.message
        assert "secret" not in str(outcome)
        assert [type(error) for error in sees.failures] == {
            OnRaise.ATTEMPT: [InternalError], OnRaise.CALL: [Overloaded] if spec.name == "on_failure" else []
        }[spec.on_raise]  # fmt: skip


# Metrics --------------------------------------------------------------------------------------------------------------


async def test_every_operation_is_recorded_once() -> None:
    """Answers, failures, refusals and cancellations, with what is known of each."""
    sees = Observer()
    fake = fake_provider_plugin([Reply(after=2.0), Overloaded("busy"), Reply(after=60.0), Reply()])
    async with client_of(fake, sees, Cache()) as client:
        await client.chat("Hello.", tenant="t")
        await outcome_of(client, chatted)
        task = asyncio.ensure_future(client.chat("Hello."))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await outcome_of(
            client, lambda client: client.chat("Hello.", model="fake/other/", cache=CachePolicy(only=True))
        )
        await client.embed("Hello.")
        await stored()
        await client.embed("Hello.")
    seen = [(metric.operation, metric.status, metric.attempts, metric.code, metric.cached) for metric in sees.metrics]
    assert seen == [
        ("chat", "ok", 1, "", ""),
        ("chat", "failed", 1, "overloaded", ""),
        ("chat", "cancelled", 1, "", ""),
        ("chat", "refused", 0, "only_if_cached", ""),
        ("embed", "ok", 1, "", ""),
        ("embed", "ok", 0, "", "cache-first"),
    ]
    first = sees.metrics[0]
    assert (first.tenant, first.model, first.instance, first.first) == ("t", "fake/m", "one", None)
    assert first.seconds == pytest.approx(2.0)
    assert first.usage is not None
    assert len({metric.call for metric in sees.metrics}) == 6


async def test_a_refused_request_is_recorded() -> None:
    """What a guard refuses was never sent, and counts as refused."""

    async def pre_request(call: Call, request: Request) -> Request:
        raise NotAllowed("Not you.")

    sees = Observer()
    async with client_of(fake_provider_plugin(), sees, plugin("guard-x", pre_request=pre_request)) as client:
        assert isinstance(await outcome_of(client, chatted), NotAllowed)
    assert [(metric.status, metric.code) for metric in sees.metrics] == [("refused", "not_allowed")]


# Caches ---------------------------------------------------------------------------------------------------------------


async def test_the_first_cache_that_knows_answers() -> None:
    """It costs nothing, and the later caches are not asked; the earlier ones hear of the entry, and whose it is."""
    first, second = Cache("cache-a"), Cache("cache-b")
    async with client_of(fake_provider_plugin(), first, second) as client:
        await client.chat("Hello.", **SHARED)
        await stored()
        first.entries.clear()
        response = await client.chat("Hello.", **SHARED)
        await stored()
        assert response.cached == "cache-b"
        assert [entry.source for entry in first.entries.values()] == ["cache-b"]
        assert (await client.chat("Hello.", **SHARED)).cached == "cache-a"


async def test_an_entry_under_another_key_is_no_answer() -> None:
    """A cache that mixes entries up does not reach the user."""
    fake = fake_provider_plugin([Reply("one"), Reply("two")])

    class Mixed(Cache):
        @hookimpl
        async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
            return next(iter(self.entries.values()), None)

    async with client_of(fake, Mixed()) as client:
        assert (await client.chat("Hello.", **SHARED)).text == "one"
        await stored()
        assert (await client.chat("Something else.", **SHARED)).text == "two"


async def test_answers_are_stored_under_the_target_that_answered() -> None:
    """The answer of an alias's second model is not an answer of the first one."""
    known = Cache()
    fake = fake_provider_plugin([Overloaded("busy"), Reply("from small")], models=("big", "small"))

    async def on_failure(attempt: Any) -> Retry:
        return Retry("next")

    async with client_of(
        fake, known, plugin("failure-x", on_failure=on_failure), models={"fast": ["fake/big", "fake/small"]}
    ) as client:
        await client.chat("Hello.", model="fast", **SHARED)
    assert [key.model for key in known.entries] == ["fake/small"]


async def test_storing_does_not_keep_the_user_waiting() -> None:
    """The answer is handed over first."""
    done: list[str] = []

    async def cache_store(entry: CacheEntry) -> None:
        await asyncio.sleep(4.0)
        done.append("stored")

    async with client_of(
        fake_provider_plugin(), plugin("cache-slow", cache_store=cache_store, cache_lookup=nothing)
    ) as client:
        begun = asyncio.get_running_loop().time()
        await client.chat("Hello.", **SHARED)
        assert asyncio.get_running_loop().time() == begun
        assert done == []
    assert done == ["stored"]


async def nothing() -> None: ...


async def test_a_plugin_may_store_without_looking_up() -> None:
    """Anyone who only collects answers hears of them, as the hook says."""
    heard: list[CacheEntry] = []

    async def cache_store(entry: CacheEntry) -> None:
        heard.append(entry)

    async with client_of(fake_provider_plugin(), plugin("cache-collect", cache_store=cache_store)) as client:
        await client.chat("Hello.", **SHARED)
    assert len(heard) == 1


async def test_only_a_cache_may_answer() -> None:
    """Without any cache that is an error as well."""
    async with client_of(fake_provider_plugin()) as client:
        error = await outcome_of(client, lambda client: client.chat("Hello.", cache=CachePolicy(only=True)))
    assert (type(error), error.code, error.status) == (NotCached, "only_if_cached", 504)


# Child calls ----------------------------------------------------------------------------------------------------------


class Summariser(Plugin):
    """Asks a model before every call, as deep as it may."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.children: list[Call] = []

    @hookimpl
    async def pre_request(self, call: Call, request: Request) -> Request | None:
        self.children.append(call)
        summary = await self.core.send(ChatRequest({"messages": request.document["messages"]}), parent=call)
        return request.replace(summary=summary.text)  # type: ignore[attr-defined]


async def test_a_child_call_skips_its_senders_steps() -> None:
    """Otherwise it would ask itself for ever. Principal and deadline are the parent's; the metric names the parent."""
    one, sees = Summariser("request-one"), Observer()
    fake = fake_provider_plugin([Reply("summary"), Reply("answer")])
    async with client_of(fake, one, sees) as client:
        request = ChatRequest({"messages": [{"role": "user", "content": "Hello."}]})
        await client.send(request, timeout=50.0, principal=Principal("t", frozenset({"fake/m"})))
    child, parent = fake.asked
    assert (child.attempt.request.get("summary"), parent.attempt.request.get("summary")) == (None, "summary")
    assert len(one.children) == 1
    call, of = child.attempt.call, parent.attempt.call
    assert (call.parent, call.depth, call.skipped) == (of, 1, frozenset({"request-one"}))
    assert (call.principal, call.started + 50.0) == (of.principal, pytest.approx(of.started + 50.0))
    assert [(metric.parent, metric.tenant) for metric in sees.metrics] == [(of.id, "t"), ("", "t")]


async def test_a_child_of_a_child_skips_both_senders() -> None:
    """Two plugins that each send a call go two deep and then end, instead of round and round."""
    one, two = Summariser("request-one"), Summariser("request-two")
    async with client_of(fake_provider_plugin(), one, two) as client:
        await client.chat("Hello.")
    assert sorted(call.depth for call in one.children + two.children) == [0, 0, 1, 1]


async def test_calls_go_at_most_two_deep() -> None:
    """The third is refused by name."""
    kinds = [Summariser(f"request-{name}") for name in ("one", "two", "three")]
    async with client_of(fake_provider_plugin(), *kinds) as client:
        error = await outcome_of(client, chatted)
    assert isinstance(error, InternalError)
    assert "more than 2 calls deep" in error.message


async def test_a_childs_deadline_is_its_parents() -> None:
    """It cannot take longer than anyone who waits for it; both end at once, with one error for the user."""
    sees = Observer()
    async with client_of(fake_provider_plugin(Reply(after=60.0)), Summariser("request-one"), sees,
                         step_timeouts={"pre_request": 50.0}) as client:  # fmt: skip
        begun = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamTimeout) as caught:
            await client.chat("Hello.", timeout=5.0)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(5.0, abs=0.1)
    assert caught.value.code == "deadline_exceeded"
    assert len(sees.metrics) == 2


# Receipts -------------------------------------------------------------------------------------------------------------


async def test_a_receipt_tells_every_step_and_attempt() -> None:
    """In the order in which they were asked, with decision and cost; without being asked for there is none."""

    async def on_failure(attempt: Any) -> Retry:
        return Retry("next")

    async def pre_request(call: Call, request: Request) -> Request:
        return request.replace(seed=1)

    fake = fake_provider_plugin({"a": Overloaded("busy"), "b": Reply(after=2.0)})
    decides = plugin("failure-x", on_failure=on_failure, pre_request=pre_request)
    async with client_of(fake, decides) as client:
        response = await client.chat("Hello.", receipt=True)
        assert (await client.chat("Hello.")).receipt is None
    receipt = response.receipt
    assert receipt.call == response.request_id
    assert [(step.hook, step.plugin, step.decision) for step in receipt.steps] == [
        ("pre_request", "failure-x", "ChatRequest"),
        ("on_failure", "failure-x", "Retry next"),
    ]
    attempts = [(attempt.number, attempt.target, attempt.status, attempt.code) for attempt in receipt.attempts]
    assert attempts == [(1, "fake/m at a", "failed", "overloaded"), (2, "fake/m at b", "ok", "")]
    assert receipt.milliseconds == pytest.approx(2000.0)


# Ids ------------------------------------------------------------------------------------------------------------------


async def test_every_call_has_an_id_of_its_own() -> None:
    """Answers and errors carry it."""
    fake: type[FakeProviderPlugin] = fake_provider_plugin([Reply(), Overloaded("busy")])
    async with client_of(fake) as client:
        response = await client.chat("Hello.")
        error = await outcome_of(client, chatted)
    assert response.request_id != error.request_id
    assert {response.request_id, error.request_id} == {asked.attempt.call.id for asked in fake.asked}


async def test_background_work_is_bounded() -> None:
    """Too much of it is dropped and logged, instead of piling up; what is under way ends with the client."""
    async with client_of(fake_provider_plugin()) as client:
        runtime: Runtime = await client.runtime()
        done: list[int] = []

        async def work(number: int) -> None:
            await asyncio.sleep(1.0)
            done.append(number)

        for number in range(1003):
            runtime.background.spawn(work(number), "work")
    assert len(done) == 1000


async def test_background_work_may_begin_more_while_the_client_closes(caplog: pytest.LogCaptureFixture) -> None:
    """What it begins is awaited as well; what comes when all is over is dropped, and never said to be too much."""
    done: list[str] = []
    async with client_of(fake_provider_plugin()) as client:
        runtime: Runtime = await client.runtime()

        async def work(name: str) -> None:
            await asyncio.sleep(1.0)
            done.append(name)
            if len(done) < 3:
                runtime.background.spawn(work(f"after {name}"), "work")

        async def endless() -> None:
            try:
                await asyncio.sleep(1e6)
            finally:
                runtime.background.spawn(work("too late"), "work")

        runtime.background.spawn(work("first"), "work")
        runtime.background.spawn(endless(), "endless")
    assert done == ["first", "after first", "after after first"]
    assert runtime.background.dropped == 0
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
