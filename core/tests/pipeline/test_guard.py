"""Whatever raises anywhere in a run, the call ends once, with a typed error, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import Attempt, CacheEntry, Chunk, Client, LocalAgentError, Metric, Outcome, Plugin, hookimpl
from localagent.errors import InternalError, StreamInterrupted
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProvider, FakeProviderPlugin

pytestmark = pytest.mark.virtual

Kind = type[Plugin]
Raiser = Callable[[], BaseException]

FOREIGN: list[Raiser] = [ValueError, asyncio.CancelledError, StopIteration]


class Watcher(Plugin):
    """Hears how attempts and calls end."""

    name = "metrics-watcher"

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[str] = []
        self.metrics: list[Metric] = []

    @hookimpl
    def after_attempt(self, attempt: Attempt, outcome: Outcome) -> None:
        self.attempts.append(outcome.status)

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.metrics.append(metric)


class Calls(Plugin):
    """A step that does what a test says."""

    name = "guard-bad"


def bad(**steps: Callable[..., Any]) -> Kind:
    methods = {hook: staticmethod(function) for hook, function in steps.items()}
    for method in methods.values():
        hookimpl(method.__func__)
    return type("Made", (Calls,), methods)


class Broken:
    """A decoder in which one name does not do what it should."""

    def __init__(self, inner: Any, name: str, broken: Callable[[], Any], after: int) -> None:
        self._inner = inner
        self._name = name
        self._broken = broken
        self._left = after

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name != self._name:
            return value
        if not callable(value):
            return self._now() if self._left <= 0 else value
        return lambda *arguments: self._called(value, *arguments)

    def _called(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._left -= 1
        return self._now() if self._left < 0 else function(*arguments)

    def _now(self) -> Any:
        result = self._broken()
        if isinstance(result, BaseException):
            raise result
        return result


def provider(
    reply: Reply,
    *,
    decoder: str = "",
    answer: str = "",
    broken: Callable[[], Any] = ValueError,
    after: int = 0,
    opened: Callable[[Any], Any] | None = None,
) -> type[FakeProviderPlugin]:
    """A provider whose stream has a decoder or an answer of which one name is broken, or is of another type."""

    class Provider(FakeProvider):
        async def stream(self, attempt: Attempt, transport: Any) -> Any:
            made, decodes = await super().stream(attempt, transport)
            if opened is not None:
                return opened(made)
            return (
                Broken(made, answer, broken, after) if answer else made,
                Broken(decodes, decoder, broken, after) if decoder else decodes,
            )

    kind = fake_provider_plugin(reply)
    kind._make = lambda self, setup: Provider(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    return kind


@asynccontextmanager
async def client_of(*plugins: Kind, **settings: Any) -> AsyncIterator[tuple[Client, Watcher]]:
    watcher = Watcher()
    settings = {"health": {"enabled": False}, **settings}
    async with Client(settings, plugins=[*plugins, watcher], environment={}, seed=1) as client:
        runtime = await client.runtime()
        yield client, runtime.pipeline.plugins["metrics-watcher"]  # type: ignore[misc]
        assert not runtime.engine.streams
        assert not runtime.engine.calls
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


async def failure(stream: Any) -> LocalAgentError:
    """Read a stream and return what ended it; a typed error, or the test fails."""

    async def read() -> None:
        async with stream:
            async for _ in stream:
                pass

    with pytest.raises(LocalAgentError) as raised:
        await read()
    error = raised.value
    return error.cause if isinstance(error, StreamInterrupted) and error.cause is not None else error


TEXTS = Reply(pieces=("one", 0.1, "two", 0.1, "three"))
ENDS = {"end": Reply(pieces=("one",), ends=False), "rest": Reply(pieces=("one", b"data: nonsense\n\n"))}


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize(
    ("name", "after"),
    [("feed", 0), ("feed", 1), ("meaningful", 0), ("usage", 0), ("finish_reason", 0), ("facts", 0), ("done", 0),
     ("end", 0), ("rest", 0)],
)  # fmt: skip
@pytest.mark.parametrize("shared", [False, True])
async def test_a_stream_whose_decoder_raises_ends_with_an_error_that_names_the_provider(
    foreign: Raiser, name: str, after: int, shared: bool
) -> None:
    kind = provider(ENDS.get(name, TEXTS), decoder=name, broken=foreign, after=after)
    async with client_of(kind, sharing={"flights": shared}) as (client, watcher):
        error = await failure(client.stream("Hi.", temperature=0))
        assert isinstance(error, InternalError)
        assert "Provider fake" in error.message
        assert [metric.status for metric in watcher.metrics] == ["failed"]
        done = shared and name in {"finish_reason", "facts"}  # what a reader asks when the flight has ended well
        assert watcher.attempts == ["ok" if done else "failed"]


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("garbage", [5, [5], [None]], ids=repr)
@pytest.mark.parametrize("shared", [False, True])
async def test_a_decoder_that_returns_something_else_than_chunks_is_named(
    after: int, garbage: Any, shared: bool
) -> None:
    kind = provider(TEXTS, decoder="feed", broken=lambda: garbage, after=after)
    async with client_of(kind, sharing={"flights": shared}) as (client, watcher):
        error = await failure(client.stream("Hi.", temperature=0))
        assert isinstance(error, InternalError)
        assert "Provider fake" in error.message
        assert [metric.status for metric in watcher.metrics] == ["failed"]


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("name", ["read_chunk", "abort", "aclose", "ended"])
@pytest.mark.parametrize("shared", [False, True])
async def test_a_connection_that_raises_does_not_keep_the_run(foreign: Raiser, name: str, shared: bool) -> None:
    kind = provider(TEXTS, answer=name, broken=foreign)
    async with client_of(kind, sharing={"flights": shared}) as (client, watcher):
        stream = client.stream("Hi.", temperature=0)
        if name == "read_chunk":
            assert isinstance(await failure(stream), InternalError)
        else:
            async with stream:
                await anext(stream)
        await asyncio.sleep(1)
        assert len(watcher.metrics) == 1
        assert len(watcher.attempts) == 1


OPENED: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda made: None,
    "no decoder": lambda made: made,
    "one": lambda made: (made,),
    "an empty decoder": lambda made: (made, None),
    "an empty answer": lambda made: (None, made),
}


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("shared", [False, True])
async def test_a_provider_that_opens_something_else_than_a_stream_is_named(opened: str, shared: bool) -> None:
    async with client_of(provider(TEXTS, opened=OPENED[opened]), sharing={"flights": shared}) as (client, watcher):
        error = await failure(client.stream("Hi.", temperature=0))
        assert isinstance(error, InternalError)
        assert "Provider fake" in error.message
        assert [metric.status for metric in watcher.metrics] == ["failed"]
        assert watcher.attempts == ["failed"]


@pytest.mark.parametrize("answer", [None, "text", {"choices": []}], ids=repr)
async def test_a_provider_that_answers_with_something_else_is_named(answer: Any) -> None:
    class Provider(FakeProvider):
        async def chat(self, attempt: Attempt, transport: Any) -> Any:
            return answer

    kind = fake_provider_plugin("ok")  # type: ignore[arg-type]
    kind._make = lambda self, setup: Provider(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    async with client_of(kind) as (client, watcher):
        with pytest.raises(InternalError, match="Provider fake"):
            await client.chat("Hi.")
        assert [metric.status for metric in watcher.metrics] == ["failed"]


class Step:
    """A step of a stream in which one method does not do what it should."""

    def __init__(self, name: str, broken: Callable[[], Any]) -> None:
        self._name = name
        self._broken = broken

    def _do(self, name: str) -> Any:
        if name != self._name:
            return None
        result = self._broken()
        if isinstance(result, BaseException):
            raise result
        return result

    def feed(self, chunk: Chunk) -> Sequence[Chunk] | None:
        return self._do("feed")  # type: ignore[no-any-return]

    def end(self, reason: str) -> Sequence[Chunk] | None:
        return self._do("end")  # type: ignore[no-any-return]


def raised(foreign: Raiser) -> Any:
    raise foreign()


@pytest.mark.parametrize("broken", [ValueError(), asyncio.CancelledError(), StopIteration(), 5, [5], [None]], ids=repr)
@pytest.mark.parametrize("name", ["feed", "end"])
@pytest.mark.parametrize("shared", [False, True])
async def test_a_step_of_a_stream_that_raises_is_named(broken: Any, name: str, shared: bool) -> None:
    steps = bad(wrap_stream=lambda call: Step(name, lambda: broken))
    async with client_of(fake_provider_plugin(TEXTS), steps, sharing={"flights": shared}) as (client, watcher):
        error = await failure(client.stream("Hi.", temperature=0))
        assert isinstance(error, InternalError)
        assert "Plugin guard-bad failed in wrap_stream" in error.message
        assert [metric.status for metric in watcher.metrics] == ["failed"]
        await asyncio.sleep(1)
        assert len(watcher.attempts) == 1


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_step_that_cannot_be_made_for_a_stream_is_named(foreign: Raiser) -> None:
    steps = bad(wrap_stream=lambda call: raised(foreign))
    async with client_of(fake_provider_plugin(TEXTS), steps) as (client, watcher):
        error = await failure(client.stream("Hi."))
        assert isinstance(error, InternalError)
        assert "Plugin guard-bad failed in wrap_stream" in error.message
        assert [metric.status for metric in watcher.metrics] == ["failed"]
        assert watcher.attempts == ["failed"]


async def test_the_later_step_is_not_blamed_for_what_the_one_before_handed_on() -> None:
    first = type("First", (bad(wrap_stream=lambda call: Step("feed", lambda: [5])),), {"name": "guard-first"})

    class Reads:
        def feed(self, chunk: Chunk) -> Sequence[Chunk] | None:
            return [Chunk(chunk.data, chunk.text)]

        def end(self, reason: str) -> Sequence[Chunk] | None:
            return None

    second = type("Second", (bad(wrap_stream=lambda call: Reads()),), {"name": "guard-second"})
    order = {"wrap_stream": ["guard-first", "guard-second"]}
    async with client_of(fake_provider_plugin(TEXTS), first, second, order=order) as (client, _):
        error = await failure(client.stream("Hi."))
        assert "Plugin guard-first failed" in error.message


def entry(keys: Any, **fields: Any) -> CacheEntry:
    made = {"key": keys[0], "response": fields.pop("response"), "events": None, "stored": 0.0, **fields}
    return CacheEntry(**made)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "fields", [{"response": None}, {"response": "text"}, {"stored": "yesterday"}, {"stored": None}], ids=repr
)
async def test_a_cache_that_gives_a_broken_entry_is_named(fields: dict[str, Any], streamed: bool) -> None:
    async def lookup(call: Any, keys: Any) -> CacheEntry:
        return entry(keys, **{"response": None, **fields})

    async with client_of(fake_provider_plugin(), bad(cache_lookup=lookup)) as (client, watcher):
        if streamed:
            error = await failure(client.stream("Hi.", temperature=0))
        else:
            with pytest.raises(InternalError) as caught:
                await client.chat("Hi.", temperature=0)
            error = caught.value
        assert isinstance(error, InternalError)
        assert "Plugin guard-bad failed in cache_lookup" in error.message
        assert [metric.status for metric in watcher.metrics] == ["refused"]


@pytest.mark.parametrize("events", [(b"garbage",), (b"[]",), (None,), (5,), 5, (b'{"choices": 5}',)], ids=repr)
async def test_an_event_of_a_cache_that_cannot_be_replayed_is_a_typed_error(events: Any) -> None:
    async with client_of(fake_provider_plugin()) as (client, _):
        response = await client.chat("Hi.", temperature=0)

    async def lookup(call: Any, keys: Any) -> CacheEntry:
        return entry(keys, response=response, events=events)

    async with client_of(fake_provider_plugin(), bad(cache_lookup=lookup)) as (client, watcher):
        error = await failure(client.stream("Hi.", temperature=0))
        assert isinstance(error, InternalError)
        assert "Plugin guard-bad failed in cache_lookup" in error.message
        assert [metric.status for metric in watcher.metrics] == ["refused"]


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("hook", ["record_metric", "after_attempt"])
async def test_an_observer_that_raises_changes_nothing(foreign: Raiser, hook: str) -> None:
    observer = bad(**{hook: lambda: raised(foreign)})
    async with client_of(fake_provider_plugin(TEXTS), observer) as (client, watcher):
        assert await client.stream("Hi.").text() == "onetwothree"
        assert (await client.chat("Hi.")).text == "ok"
        assert [metric.status for metric in watcher.metrics] == ["ok", "ok"]


async def test_all_readers_of_a_flight_get_an_error_of_their_own() -> None:
    kind = provider(TEXTS, decoder="feed")
    async with client_of(kind, sharing={"flights": True}) as (client, watcher):
        errors = await asyncio.gather(*(failure(client.stream("Hi.", temperature=0)) for _ in range(3)))
        assert [type(error) for error in errors] == [InternalError] * 3
        assert len({id(error) for error in errors}) == 3
        assert [metric.status for metric in watcher.metrics] == ["failed"] * 3
        assert watcher.attempts == ["failed"]
        assert len(kind.asked) == 1


async def test_a_reader_that_really_is_cancelled_stays_cancelled() -> None:
    async with client_of(fake_provider_plugin(Reply(pieces=("one", 60.0)))) as (client, watcher):

        async def read() -> None:
            async with client.stream("Hi.") as stream:
                async for _ in stream:
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [metric.status for metric in watcher.metrics] == ["cancelled"]
