"""Streams: what is seen before the commit point, behind it, and how they end, no matter who ends them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from localagent import (
    AnswerStream,
    Attempt,
    CacheEntry,
    Chunk,
    Client,
    LocalAgentError,
    Metric,
    Outcome,
    Plugin,
    Retry,
    StreamStep,
    hookimpl,
)
from localagent.errors import InternalError, Overloaded, StreamInterrupted, UpstreamServerError, UpstreamTimeout
from localagent.plugin_api.plugin import PluginSource
from localagent_testing import Reply, fake_provider_plugin, sse
from localagent_testing.fake_provider import DONE, FakeProviderPlugin

pytestmark = pytest.mark.virtual

Kind = type[Plugin]
COMMENT = b": still here\n\n"
ROLE = sse([{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}])
BUSY = sse([{"error": {"message": "busy", "type": "server_error", "code": "server_error"}}])


def plugin(name: str, **steps: Callable[..., Any]) -> Kind:
    """A plugin with these functions as its steps; they take the hook's arguments without ``self``."""
    methods = {hook: staticmethod(function) for hook, function in steps.items()}
    for method in methods.values():
        hookimpl(method.__func__)
    return type("Made", (Plugin,), {"name": name, **methods})


class Observer(Plugin):
    """Hears how attempts, what they deferred, and calls end."""

    name = "metrics-observer"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []
        self.metrics: list[Metric] = []

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> None:
        attempt.defer(lambda outcome: self.heard.append(("deferred", outcome.status)))

    @hookimpl
    def after_attempt(self, attempt: Attempt, outcome: Outcome) -> None:
        self.heard.append(("attempt", outcome.status))

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.heard.append(("metric", metric.status))
        self.metrics.append(metric)


def ended(status: str, metric: str = "") -> list[tuple[str, str]]:
    """What an observer hears of a call with one attempt."""
    return [("attempt", status), ("deferred", status), ("metric", metric or status)]


async def next_target(attempt: Attempt) -> Retry:
    return Retry("next")


RETRY = plugin("failure-next", on_failure=next_target)


class Cache(Plugin):
    name = "cache-dict"

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[Any, CacheEntry] = {}

    @hookimpl
    async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
        return next((entry for key in keys if (entry := self.entries.get(key))), None)

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        self.entries[entry.key] = entry


@asynccontextmanager
async def client_of(*plugins: PluginSource, **settings: Any) -> AsyncIterator[Client]:
    """A client without health checks; at the end nothing is in flight and no stream is open."""
    settings = {"health": {"enabled": False}, **settings}
    async with Client(settings, plugins=plugins, environment={}, seed=1) as client:
        yield client
        await stored()
        runtime = await client.runtime()
        assert not runtime.engine.streams
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


async def stored() -> None:
    while tasks := [task for task in asyncio.all_tasks() if task.get_name() == "localagent cache_store"]:
        await asyncio.wait(tasks)


async def texts(client: Client, **more: Any) -> list[str]:
    async with client.stream("Hello.", **more) as stream:
        return [chunk.text async for chunk in stream if chunk.text]


async def interrupted(client: Client, **more: Any) -> StreamInterrupted:
    with pytest.raises(StreamInterrupted) as caught:
        await texts(client, **more)
    return caught.value


def pieces(*said: str | float | bytes | Exception, **more: Any) -> Reply:
    return Reply(pieces=said, **more)


def timeouts(**seconds: float) -> dict[str, Any]:
    """Settings that set the clocks of the scripted provider."""
    return {"providers": {"fake": {"timeouts": {name: f"{value} s" for name, value in seconds.items()}}}}


def now() -> float:
    return asyncio.get_running_loop().time()


# The commit point -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        Overloaded("busy"),
        pieces(BUSY),
        pieces(ROLE, BUSY),
        pieces(ROLE, COMMENT, UpstreamServerError("cut")),
        pieces(ROLE, ends=False),
        pieces(b"data: {broken\n\n"),
    ],
    ids=["refused", "first event", "behind the role", "cut", "ended", "garbage"],
)
async def test_a_failure_before_content_moves_on_unseen(failure: Any) -> None:
    """The user sees the second target only; no event of the first one reaches it or any step."""
    seen: list[Chunk] = []

    class Watches:
        def feed(self, chunk: Chunk) -> None:
            seen.append(chunk)

        def end(self, reason: str) -> None: ...

    fake = fake_provider_plugin({"a": failure, "b": Reply("good")})
    async with (
        client_of(fake, RETRY, plugin("guard-watch", wrap_stream=lambda call: Watches())) as client,
        client.stream("Hello.") as stream,
    ):
        assert stream.model == "fake/m"
        assert [chunk.text async for chunk in stream if chunk.text] == ["good"]
    assert [asked.instance for asked in fake.asked] == ["a", "b"]
    assert [chunk.text for chunk in seen if chunk.text] == ["good"]
    assert len(seen) == 2


async def test_a_failure_before_content_is_raised_when_the_stream_is_entered() -> None:
    """Where nobody retries, ``async with`` raises what the server said."""
    async with client_of(fake_provider_plugin(pieces(BUSY))) as client:
        with pytest.raises(LocalAgentError) as caught:
            await client.stream("Hello.").__aenter__()
    assert not isinstance(caught.value, StreamInterrupted)
    assert caught.value.attempts == 1


async def test_events_before_content_come_with_it() -> None:
    """The buffer is handed over, in order, at the commit point."""
    async with (
        client_of(fake_provider_plugin(pieces(ROLE, 1.0, "Hel", "lo"))) as client,
        client.stream("Hello.") as stream,
    ):
        events = [chunk.data async for chunk in stream]
    assert events[0] == msgspec.json.encode({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    assert len(events) == 4


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (UpstreamServerError("reset"), UpstreamServerError),
        (BUSY, LocalAgentError),
        (b"data: {broken\n\n", LocalAgentError),
    ],
    ids=["reset", "error event", "garbage"],
)
async def test_a_failure_behind_content_interrupts(failure: Any, cause: type[LocalAgentError]) -> None:
    """No step is asked; the error holds what arrived and names the cause; the attempt has failed."""
    sees = Observer()
    fake = fake_provider_plugin({"a": pieces("Hel", "lo", failure), "b": Reply()})
    async with client_of(fake, RETRY, sees) as client:
        error = await interrupted(client)
    assert (error.partial, isinstance(error.cause, cause), error.retryable) == ("Hello", True, False)
    assert (error.provider, error.attempts, error.advice.billed) == ("fake", 1, "yes")
    assert sees.heard == ended("failed")
    assert len(fake.asked) == 1


async def test_a_stream_that_just_ends_is_interrupted() -> None:
    """Without its terminator it was cut, however well the connection ended."""
    async with client_of(fake_provider_plugin(pieces("Hel", ends=False))) as client:
        assert (await interrupted(client)).partial == "Hel"


async def test_what_had_arrived_is_handed_out_before_the_error() -> None:
    """Chunks that wait when a stream breaks are read first; then the error comes, again and again."""
    events = sse([{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("a", "b")]) + BUSY
    async with client_of(fake_provider_plugin(pieces("x", events))) as client, client.stream("Hello.") as stream:
        assert [(await anext(stream)).text for _ in range(3)] == ["x", "a", "b"]
        for _ in range(2):
            with pytest.raises(StreamInterrupted) as caught:
                await anext(stream)
    assert caught.value.partial == "xab"


# Timeouts -------------------------------------------------------------------------------------------------------------


async def test_the_first_content_has_a_clock() -> None:
    """Comments and empty events do not reset it."""
    forever = pieces(*(item for _ in range(50) for item in (COMMENT, ROLE, 1.0)))
    async with client_of(fake_provider_plugin(forever), **timeouts(first_token=5.0)) as client:
        begun = now()
        with pytest.raises(UpstreamTimeout) as caught:
            await texts(client)
        assert now() - begun == pytest.approx(5.0, abs=0.1)
    assert caught.value.phase == "first_token"


async def test_progress_has_a_clock_that_comments_do_not_reset() -> None:
    """Keep-alive comments for ever are no progress; every event is."""
    said = pieces("a", 4.0, "b", 4.0, "c", *(item for _ in range(50) for item in (COMMENT, 1.0)))
    async with client_of(fake_provider_plugin(said), **timeouts(idle=5.0)) as client:
        begun = now()
        error = await interrupted(client)
        assert now() - begun == pytest.approx(13.0, abs=0.1)
    assert (error.partial, type(error.cause), error.phase) == ("abc", UpstreamTimeout, "idle")


async def test_the_deadline_holds_over_the_whole_stream() -> None:
    """However steadily it drips."""
    said = pieces(*(item for _ in range(50) for item in ("a", 1.0)))
    async with client_of(fake_provider_plugin(said)) as client:
        error = await interrupted(client, timeout=5.5)
    assert (error.partial, error.code, error.phase) == ("a" * 6, "deadline_exceeded", "total")


async def test_a_slow_consumer_is_no_stall() -> None:
    """While the consumer is elsewhere only the deadline counts; the clocks of the source stand still."""
    said = pieces("a", "b", "c")
    async with (
        client_of(fake_provider_plugin(said), **timeouts(first_token=2.0, idle=2.0)) as client,
        client.stream("Hello.") as stream,
    ):
        got = []
        await asyncio.sleep(10.0)
        async for chunk in stream:
            got.append(chunk.text)
            await asyncio.sleep(10.0)
    assert "".join(got) == "abc"


async def test_a_deadline_that_passes_while_the_consumer_is_elsewhere_ends_the_source() -> None:
    """At once; the consumer is not cancelled, and hears of it at its next read."""
    sees, fake = Observer(), fake_provider_plugin(pieces("a", "b", 60.0, "c"))
    async with client_of(fake, sees) as client, client.stream("Hello.", timeout=5.0) as stream:
        assert (await anext(stream)).text == "a"
        await asyncio.sleep(8.0)
        assert fake.asked[0].ended == "cancelled"
        assert sees.heard == ended("failed")
        with pytest.raises(StreamInterrupted) as caught:
            async for _ in stream:
                pass
    assert (caught.value.code, caught.value.partial[:1]) == ("deadline_exceeded", "a")
    assert sees.metrics[0].seconds == pytest.approx(5.0, abs=0.1)


# Leaving --------------------------------------------------------------------------------------------------------------


async def leave(stream: AnswerStream) -> None:
    async with stream:
        await anext(stream)


async def close(stream: AnswerStream) -> None:
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def cancelled(stream: AnswerStream) -> None:
    async def read() -> None:
        async with stream:
            async for _ in stream:
                pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def elsewhere(stream: AnswerStream) -> None:
    async def read() -> None:
        async with stream:
            await anext(stream)
            await asyncio.sleep(60.0)

    task = asyncio.ensure_future(read())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("way", [leave, close, cancelled, elsewhere])
async def test_leaving_a_stream_ends_everything(way: Callable[[AnswerStream], Any]) -> None:
    """The source is closed; the attempt, what it deferred and the call hear of it, once and in this order."""
    sees, fake = Observer(), fake_provider_plugin(pieces("a", 60.0, "b"))
    async with client_of(fake, sees) as client:
        await way(client.stream("Hello."))
        assert fake.asked[0].ended == "cancelled"
        assert sees.heard == ended("cancelled")


async def test_a_stream_that_is_dropped_is_ended_with_a_warning() -> None:
    """The last reference is enough; the loop closes the source at its next turn."""
    sees, fake = Observer(), fake_provider_plugin(pieces("a", 60.0, "b"))
    async with client_of(fake, sees) as client:
        stream = client.stream("Hello.")
        await anext(stream)
        streams = [stream]
        del stream
        with pytest.warns(ResourceWarning, match="use 'async with'"):
            streams.clear()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert fake.asked[0].ended == "cancelled"
        assert sees.heard == ended("cancelled")


@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_dropped_stream_is_ended_even_where_warnings_are_errors() -> None:
    """A warning that becomes an error must not keep the source open."""
    fake = fake_provider_plugin(pieces("a", 60.0, "b"))
    async with client_of(fake) as client:
        stream = client.stream("Hello.")
        await anext(stream)
        del stream
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert fake.asked[0].ended == "cancelled"


async def test_a_stream_that_was_never_entered_leaves_nothing() -> None:
    """Nothing is sent before it is entered or read."""
    fake = fake_provider_plugin()
    async with client_of(fake) as client:
        stream = client.stream("Hello.")
        del stream
    assert fake.asked == []


async def test_a_stream_may_be_closed_before_it_begins_and_after_it_ended() -> None:
    """Closing is idempotent in every state."""
    sees = Observer()
    async with client_of(fake_provider_plugin(), sees) as client:
        await client.stream("Hello.").aclose()
        stream = client.stream("Hello.")
        assert await stream.text() == "ok"
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert sees.heard == ended("ok")


async def test_a_client_that_closes_interrupts_its_streams() -> None:
    """Anyone who reads on learns that the answer is not whole; it is never taken for the end."""
    fake = fake_provider_plugin(pieces("a", 60.0, "b"))
    async with Client({"health": {"enabled": False}}, plugins=[fake], environment={}) as client:
        stream = client.stream("Hello.")
        assert (await anext(stream)).text == "a"
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(1.0)
        await client.aclose()
        assert fake.asked[0].ended == "cancelled"
        for read in (reading, anext(stream)):
            with pytest.raises(LocalAgentError):
                await read


# The end --------------------------------------------------------------------------------------------------------------


async def test_a_stream_that_ended_well_tells_what_it_cost() -> None:
    """Usage, finish reason, model and the time of the first content are known at the end."""
    sees = Observer()
    async with client_of(fake_provider_plugin(pieces(2.0, "a", 3.0, "b", finish="length")), sees) as client:
        async with client.stream("Hello.") as stream:
            assert (stream.usage, stream.finish_reason, stream.model) == (None, None, "fake/m")
            assert await stream.text() == "ab"
        assert (stream.finish_reason, stream.request_id) == ("length", sees.metrics[0].call)
        assert stream.usage is not None
    metric = sees.metrics[0]
    assert (metric.status, metric.first, metric.seconds) == ("ok", pytest.approx(2.0), pytest.approx(5.0))
    assert metric.usage == stream.usage
    assert sees.heard == ended("ok")


async def test_what_follows_the_terminator_does_not_count() -> None:
    """The stream has ended, whatever the server still says."""
    trailing = pieces("a", sse([{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]), DONE,
                      sse([{"choices": [{"index": 0, "delta": {"content": "more"}}]}]), UpstreamServerError("reset"),
                      ends=False)  # fmt: skip
    async with client_of(fake_provider_plugin(trailing)) as client:
        assert await texts(client) == ["a"]


async def test_many_chunks_of_one_read_are_handed_out_without_waiting() -> None:
    """Once parsed they need no turn of the loop."""
    burst = sse([{"choices": [{"index": 0, "delta": {"content": str(number)}}]} for number in range(100)])
    async with client_of(fake_provider_plugin(pieces("x", burst))) as client, client.stream("Hello.") as stream:
        await anext(stream)
        await anext(stream)
        for number in range(1, 100):
            step = stream.__anext__()
            with pytest.raises(StopIteration) as got:
                step.send(None)
            assert got.value.value.text == str(number)


async def test_a_batch_holds_all_that_waits() -> None:
    """The burst of one read in one list; an empty list says that the stream has ended well."""
    burst = sse([{"choices": [{"index": 0, "delta": {"content": str(number)}}]} for number in range(100)])
    async with client_of(fake_provider_plugin(pieces("x", burst))) as client, client.stream("Hello.") as stream:
        batches = []
        while batch := await stream.batch():
            batches.append([chunk.text for chunk in batch])
    assert [text for batch in batches for text in batch if text] == ["x", *map(str, range(100))]
    assert max(map(len, batches)) >= 100


async def test_a_batch_of_a_broken_stream_raises_behind_what_arrived() -> None:
    """Chunks that wait come first."""
    async with client_of(fake_provider_plugin(pieces("x", BUSY))) as client, client.stream("Hello.") as stream:
        assert [chunk.text for chunk in await stream.batch()] == ["x"]
        with pytest.raises(StreamInterrupted):
            await stream.batch()


# wrap_stream ----------------------------------------------------------------------------------------------------------


class Upper:
    """Changes every chunk."""

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        return [Chunk(chunk.data, chunk.text.upper())]

    def end(self, reason: str) -> None: ...


class Doubles:
    """Hands every chunk out twice, and says a last word."""

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        return (chunk, chunk)

    def end(self, reason: str) -> Sequence[Chunk]:
        return [Chunk(b"{}", f" bye ({reason})")]


class Swallows:
    """Holds everything back and says it at the end."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        self.held += chunk.text
        return ()

    def end(self, reason: str) -> Sequence[Chunk]:
        return [Chunk(b"{}", self.held)]


def wraps(name: str, make: Callable[[], StreamStep | None]) -> Kind:
    return plugin(name, wrap_stream=lambda call: make())


async def test_a_step_may_change_multiply_and_swallow() -> None:
    """Each feeds the next."""
    for steps, expected in (
        ([wraps("a-upper", Upper)], ["HE", "LLO"]),
        ([wraps("a-double", Doubles)], ["he", "he", "llo", "llo", " bye (stop)"]),
        ([wraps("a-double", Doubles), wraps("b-upper", Upper)], ["HE", "HE", "LLO", "LLO", " BYE (STOP)"]),
        ([wraps("a-upper", Upper), wraps("b-double", Doubles)], ["HE", "HE", "LLO", "LLO", " bye (stop)"]),
        ([wraps("a-swallow", Swallows)], ["hello"]),
        ([wraps("a-swallow", Swallows), wraps("b-double", Doubles)], ["hello", "hello", " bye (stop)"]),
        ([wraps("a-none", lambda: None)], ["he", "llo"]),
    ):
        async with client_of(fake_provider_plugin(pieces("he", "llo")), *steps) as client:
            assert await texts(client) == expected


async def test_a_step_belongs_to_one_consumer() -> None:
    """Two streams have two."""
    async with client_of(fake_provider_plugin(Reply("hello")), wraps("a-swallow", Swallows)) as client:
        assert await asyncio.gather(texts(client), texts(client)) == [["hello"], ["hello"]]


async def test_a_step_gets_no_last_word_on_a_broken_stream() -> None:
    """``end`` is for streams that ended well."""
    async with client_of(fake_provider_plugin(pieces("he", ends=False)), wraps("a-double", Doubles)) as client:
        assert (await interrupted(client)).partial == "hehe"


class Fails:
    """Raises at its place."""

    def __init__(self, where: str) -> None:
        self.where = where

    def feed(self, chunk: Chunk) -> None:
        if self.where == "feed" or (self.where == "last" and not chunk.text):
            raise ValueError("secret")

    def end(self, reason: str) -> None:
        if self.where == "end":
            raise ValueError("secret")


@pytest.mark.parametrize("where", ["feed", "last", "end"])
async def test_a_step_that_fails_ends_the_stream(where: str) -> None:
    """With an error that names the plugin; what had come is handed out; everything is closed, and nothing is kept."""
    sees, known, fake = Observer(), Cache(), fake_provider_plugin(pieces("he", "llo"))
    alone = {"flights": False}
    async with client_of(fake, sees, known, wraps("guard-x", lambda: Fails(where)), sharing=alone) as client:
        with pytest.raises(LocalAgentError) as caught:
            await texts(client, temperature=0)
        await stored()
    error = caught.value.cause if isinstance(caught.value, StreamInterrupted) else caught.value
    assert isinstance(error, InternalError)
    assert "secret" not in str(caught.value)
    assert "guard-x" in error.message
    assert sees.heard == ended("failed")
    assert known.entries == {}


# Replays --------------------------------------------------------------------------------------------------------------


async def test_a_stored_stream_is_replayed() -> None:
    """Event for event, with the same finish reason, tokens and model; nobody is asked."""
    fake = fake_provider_plugin(pieces(ROLE, "he", "llo"))
    async with client_of(fake, Cache()) as client:
        reported = []
        for _ in range(2):
            async with client.stream("Hello.", temperature=0) as stream:
                events = [chunk.data async for chunk in stream]
            reported.append((events, stream.finish_reason, stream.usage, stream.model))
            await stored()
        assert (reported[1], stream.cached, len(fake.asked)) == (reported[0], "cache-dict", 1)


async def test_a_stored_answer_is_replayed_as_a_stream() -> None:
    """What came whole may be read as a stream."""
    async with client_of(fake_provider_plugin(Reply("hello")), Cache()) as client:
        await client.chat("Hello.", temperature=0)
        await stored()
        async with client.stream("Hello.", temperature=0) as stream:
            assert (await stream.text(), stream.finish_reason, stream.cached) == ("hello", "stop", "cache-dict")


async def test_a_replay_passes_the_steps_too() -> None:
    """What a step takes out of a stream is not there in a replay either; what is stored is what the server said."""
    async with client_of(fake_provider_plugin(pieces("he", "llo")), Cache(), wraps("a-upper", Upper)) as client:
        assert await texts(client, temperature=0) == ["HE", "LLO"]
        await stored()
        assert await texts(client, temperature=0) == ["HE", "LLO"]


@pytest.mark.parametrize("how", ["broken", "left", "cut"])
async def test_what_is_not_whole_is_not_stored(how: str) -> None:
    """Broken streams, streams that were left, and answers cut by length."""
    said = {"broken": pieces("he", ends=False), "left": pieces("he", 60.0), "cut": pieces("he", finish="length")}
    known = Cache()
    async with client_of(fake_provider_plugin(said[how]), known) as client:
        if how == "left":
            await leave(client.stream("Hello.", temperature=0))
        else:
            await asyncio.gather(texts(client, temperature=0), return_exceptions=True)
        await stored()
    assert known.entries == {}


async def test_a_stream_that_cannot_be_joined_is_not_stored() -> None:
    """Odd fields that nobody had to understand so far spoil no stream; there is just nothing to store."""
    odd = sse([{"choices": [{"index": 0, "delta": {"content": "a", "tool_calls": tools}}]} for tools in (5, [5])])
    known = Cache()
    async with client_of(fake_provider_plugin(pieces(odd)), known) as client:
        assert await texts(client, temperature=0) == ["a", "a"]
        await stored()
    assert known.entries == {}


async def test_a_stream_that_is_too_long_is_not_kept() -> None:
    """At most 1 MiB is held for a cache; the stream itself goes on."""
    known, long = Cache(), "x" * 100_000
    async with client_of(fake_provider_plugin(pieces(*[long] * 12)), known) as client:
        assert sum(map(len, await texts(client, temperature=0))) == 1_200_000
        await stored()
    assert known.entries == {}


# Without an open client -----------------------------------------------------------------------------------------------


async def test_a_stream_needs_an_open_client() -> None:
    """``stream`` cannot wait for plugins to start; it says what to write."""
    with pytest.raises(LocalAgentError, match="Use: async with Client"):
        Client({}, plugins=[], environment={}).stream("Hello.")


async def test_the_fake_provider_is_closed_with_its_client() -> None:
    """The kit's own provider keeps the contract that it tests with."""
    fake: type[FakeProviderPlugin] = fake_provider_plugin()
    async with client_of(fake):
        pass
    assert fake.made[0].closed
