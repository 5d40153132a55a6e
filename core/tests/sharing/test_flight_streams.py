"""Flights of streams: one log, and a cursor for each reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import (
    AnswerStream,
    CacheEntry,
    Call,
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
from localagent.errors import Draining, InternalError, Overloaded, StreamInterrupted, UpstreamTimeout
from localagent.plugin_api.plugin import PluginSource
from localagent_testing import Reply, fake_provider_plugin

pytestmark = pytest.mark.virtual

Kind = type[Plugin]
SHARED = {"temperature": 0}
ON = {"flights": True}
KIB = 1024


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
    """A dictionary."""

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


def plugin(name: str, **steps: Callable[..., Any]) -> Kind:
    """A plugin with these functions as its steps."""
    methods = {hook: staticmethod(function) for hook, function in steps.items()}
    for method in methods.values():
        hookimpl(method.__func__)
    return type("Made", (Plugin,), {"name": name, **methods})


def pieces(*said: str | float | bytes | Exception, **more: Any) -> Reply:
    return Reply(pieces=said, **more)


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
        assert not runtime.engine.streams
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


def streamed(client: Client, **more: Any) -> AnswerStream:
    return client.stream("Hello.", **{**SHARED, **more})


async def events(client: Client, **more: Any) -> list[bytes]:
    async with streamed(client, **more) as stream:
        return [chunk.data async for chunk in stream]


async def texts(client: Client, **more: Any) -> list[str]:
    async with streamed(client, **more) as stream:
        return [chunk.text async for chunk in stream if chunk.text]


def reading(client: Client, **more: Any) -> asyncio.Task[list[str]]:
    return asyncio.ensure_future(texts(client, **more))


async def rest_of(stream: AnswerStream) -> list[str]:
    return [chunk.text async for chunk in stream if chunk.text]


def now() -> float:
    return asyncio.get_running_loop().time()


# One log --------------------------------------------------------------------------------------------------------------


async def test_identical_streams_are_one() -> None:
    """Every reader gets the same events."""
    fake = fake_provider_plugin(pieces("a", 1.0, "b", 1.0, "c"))
    async with client_of(fake) as client:
        read = await asyncio.gather(*(events(client) for _ in range(4)))
        assert read == [read[0]] * 4
        assert len(fake.asked) == 1


async def test_a_late_reader_gets_the_past_and_then_the_live_tail() -> None:
    """At once what has come, then each event when it comes."""
    fake = fake_provider_plugin(pieces("a", 1.0, "b", 4.0, "c"))
    async with client_of(fake) as client:
        begun, first = now(), reading(client)
        await asyncio.sleep(2.0)
        async with streamed(client) as stream:
            seen = [(chunk.text, round(now() - begun)) async for chunk in stream if chunk.text]
        assert seen == [("a", 2), ("b", 2), ("c", 5)]
        assert await first == ["a", "b", "c"]
        assert (stream.coalesced, stream.model, stream.finish_reason) == (True, "fake/m", "stop")
        assert stream.usage is not None


async def test_a_stream_and_a_whole_answer_share_entries_but_no_flight() -> None:
    """Who wants the answer whole must not wait for a reader."""
    fake, known = fake_provider_plugin(pieces("a", 1.0, "b")), Cache()
    async with client_of(fake, known) as client:
        _, whole = await asyncio.gather(texts(client), client.chat("Hello.", **SHARED))
        assert len(fake.asked) == 2
        await asyncio.sleep(1.0)
        assert (await client.chat("Hello.", **SHARED)).cached == "cache-dict"
        assert len(fake.asked) == 2
        assert whole.text


async def test_streams_with_other_options_are_asked_apart() -> None:
    """One that wants its tokens counted must see the event with the count."""
    fake = fake_provider_plugin(pieces("a", 1.0, "b"))
    async with client_of(fake) as client:
        await asyncio.gather(texts(client), texts(client, stream_options={"include_usage": True}))
    assert len(fake.asked) == 2


async def test_a_streams_answer_is_stored_once() -> None:
    """With its events; the next one is its replay."""
    fake, known = fake_provider_plugin(pieces("a", 1.0, "b")), Cache()
    async with client_of(fake, known) as client:
        live = await asyncio.gather(events(client), events(client))
        await asyncio.sleep(1.0)
        assert [list(entry.events or ()) for entry in known.entries.values()] == [live[0]]
        assert await events(client) == live[1]
    assert len(fake.asked) == 1


class Counts:
    """Numbers the chunks of its consumer."""

    def __init__(self) -> None:
        self.count = 0

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        self.count += 1
        return [Chunk(chunk.data, f"{self.count}{chunk.text}")]

    def end(self, reason: str) -> None: ...


async def test_every_consumer_has_steps_of_its_own() -> None:
    """The log holds what the server sent."""

    def wrap_stream(call: Call) -> StreamStep:
        return Counts()

    fake = fake_provider_plugin(pieces("a", 1.0, "b"))
    async with client_of(fake, plugin("guard-x", wrap_stream=wrap_stream)) as client:
        first = reading(client)
        await asyncio.sleep(0.5)
        assert await texts(client) == await first == ["1a", "2b", "3"]


async def test_a_step_that_fails_ends_its_own_consumers_stream() -> None:
    """The others read on, and the answer is kept: nothing is wrong with it."""

    class Fails:
        def feed(self, chunk: Chunk) -> None:
            if chunk.text == "b":
                raise ValueError("secret")

        def end(self, reason: str) -> None: ...

    made: list[Any] = [Fails(), None]

    def wrap_stream(call: Call) -> StreamStep | None:
        return made.pop(0)  # type: ignore[no-any-return]

    sees, known = Observer(), Cache()
    fake = fake_provider_plugin(pieces("a", 1.0, "b", 1.0, "c"))
    async with client_of(fake, sees, known, plugin("guard-x", wrap_stream=wrap_stream)) as client:
        failed, whole = await asyncio.gather(reading(client), reading(client), return_exceptions=True)
    assert isinstance(failed, StreamInterrupted)
    assert isinstance(failed.cause, InternalError)
    assert whole == ["a", "b", "c"]
    assert sees.outcomes == ["ok"]
    assert len(known.entries) == 1


# Coming and going -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "cancel", "drop"])
async def test_a_reader_that_leaves_touches_nobody(how: str) -> None:
    """However it leaves, also if it opened the flight."""
    fake = fake_provider_plugin(pieces("a", 2.0, "b", 2.0, "c"))
    async with client_of(fake) as client:
        stream = streamed(client)
        await stream.__anext__()
        other = reading(client)
        await asyncio.sleep(1.0)
        if how == "close":
            await stream.aclose()
        elif how == "cancel":
            waits = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0.5)
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
        else:
            with pytest.warns(ResourceWarning):
                del stream
        assert await other == ["a", "b", "c"]
    assert [asked.ended for asked in fake.asked] == ["answered"]


async def test_the_last_reader_to_leave_closes_the_source() -> None:
    """``aclose`` returns when that is done."""
    sees, fake = Observer(), fake_provider_plugin(pieces("a", 9.0, "b"))
    async with client_of(fake, sees) as client:
        streams = [streamed(client), streamed(client)]
        for stream in streams:
            await stream.__anext__()
        await streams[0].aclose()
        assert fake.asked[0].ended == "open"
        await streams[1].aclose()
        assert fake.asked[0].ended == "cancelled"
        assert sees.outcomes == ["cancelled"]
    assert [(metric.status, metric.coalesced, metric.attempts) for metric in sees.metrics] == [
        ("cancelled", True, 0), ("cancelled", False, 1),
    ]  # fmt: skip


async def test_a_stream_that_is_left_before_content_ends() -> None:
    """The wait for the first content is ended too."""
    fake = fake_provider_plugin(pieces(9.0, "a"))
    async with client_of(fake) as client:
        tasks = [reading(client), reading(client)]
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert fake.asked[0].ended == "cancelled"


async def test_a_readers_own_deadline_ends_its_own_stream() -> None:
    """While it waits, and while it is elsewhere; the flight lasts for the most patient one."""
    fake = fake_provider_plugin(pieces("a", 5.0, "b", 5.0, "c"))
    async with client_of(fake) as client:
        elsewhere = streamed(client, timeout=3.0)
        await elsewhere.__anext__()
        waits, patient = reading(client, timeout=2.0), reading(client, timeout=20.0)
        with pytest.raises(StreamInterrupted) as caught:
            await waits
        assert isinstance(caught.value.cause, UpstreamTimeout)
        assert caught.value.partial == "a"
        await asyncio.sleep(2.0)
        with pytest.raises(StreamInterrupted):
            await rest_of(elsewhere)
        assert await patient == ["a", "b", "c"]
        assert len(fake.asked) == 1


async def test_the_end_is_read_from_the_log_however_late() -> None:
    """A reader that was elsewhere when the source ended gets all, and its good end."""
    fake = fake_provider_plugin(pieces("a", 1.0, "b"))
    async with client_of(fake) as client, streamed(client) as stream:
        await texts(client)
        await asyncio.sleep(50.0)
        assert await rest_of(stream) == ["a", "b"]
        assert stream.finish_reason == "stop"


# Failures -------------------------------------------------------------------------------------------------------------


async def test_a_failure_before_content_reaches_all_when_they_enter() -> None:
    """As it is, each with an error of its own."""
    fake = fake_provider_plugin(Reply(error=Overloaded("busy"), after=1.0))
    async with client_of(fake) as client:
        errors = await asyncio.gather(reading(client), reading(client), return_exceptions=True)
    assert [type(error) for error in errors] == [Overloaded, Overloaded]
    assert len({error.request_id for error in errors if isinstance(error, LocalAgentError)}) == 2


async def test_a_failure_before_content_moves_on_unseen() -> None:
    """The flight is tried again as a call alone is."""

    async def on_failure(attempt: Any) -> Retry:
        return Retry("same")

    fake = fake_provider_plugin([Overloaded("busy"), pieces("a", 1.0, "b")])
    async with client_of(fake, plugin("failure-x", on_failure=on_failure)) as client:
        assert await asyncio.gather(texts(client), texts(client)) == [["a", "b"]] * 2


@pytest.mark.parametrize(
    ("failure", "cause"),
    [(Overloaded("busy"), Overloaded), (200.0, UpstreamTimeout), (b'data: {"nothing', StreamInterrupted)],
)
async def test_a_failure_behind_content_interrupts_all(failure: Any, cause: type[LocalAgentError]) -> None:
    """Each has what it had read as ``partial``; nothing is stored, and the next one is asked again."""
    sees, known = Observer(), Cache()
    fake = fake_provider_plugin([pieces("a", 1.0, "b", 1.0, failure, ends=False), pieces("whole")])
    async with client_of(fake, sees, known) as client:
        errors = await asyncio.gather(reading(client), reading(client), return_exceptions=True)
        for error in errors:
            assert isinstance(error, StreamInterrupted)
            assert isinstance(error.cause or error, cause)
            assert error.partial == "ab"
        assert len({id(error) for error in errors}) == 2
        assert sees.outcomes == ["failed"]
        assert known.entries == {}
        assert await texts(client) == ["whole"]


async def test_closing_the_client_interrupts_all_readers() -> None:
    """Those that wait and those that are elsewhere."""
    fake = fake_provider_plugin(pieces("a", 9.0, "b"))
    async with Client({"sharing": ON, "health": {"enabled": False}}, plugins=[fake], environment={}) as client:
        elsewhere = streamed(client)
        await elsewhere.__anext__()
        waits = reading(client)
        await asyncio.sleep(1.0)
    for ended in await asyncio.gather(waits, rest_of(elsewhere), return_exceptions=True):
        assert isinstance(ended, StreamInterrupted)
        assert isinstance(ended.cause, Draining)
    assert fake.asked[0].ended == "cancelled"


# Bounds ---------------------------------------------------------------------------------------------------------------

LONG = "x" * (64 * KIB)


async def test_the_source_waits_for_the_fastest_reader() -> None:
    """Behind what it read, a quarter of a mebibyte and an event are asked for; the server's clocks stand still."""
    fake = fake_provider_plugin(pieces(*[LONG] * 12))
    idle = {"fake": {"timeouts": {"idle": "5 s"}}}
    async with client_of(fake, providers=idle) as client, streamed(client) as stream, streamed(client) as other:
        await asyncio.sleep(30.0)
        (flight,) = (await client.runtime()).engine.flights._open.values()  # type: ignore[union-attr]
        assert flight.log.paused  # type: ignore[attr-defined]
        assert flight.log.size < 9 * 64 * KIB + 10 * KIB  # type: ignore[attr-defined]
        assert len("".join(await rest_of(stream))) == 12 * 64 * KIB
        assert len("".join(await rest_of(other))) == 12 * 64 * KIB


async def test_the_deadline_holds_while_the_source_waits() -> None:
    """Nobody reads until it has passed."""
    sees, fake = Observer(), fake_provider_plugin(pieces(*[LONG] * 12))
    async with client_of(fake, sees) as client, streamed(client, timeout=5.0) as stream:
        await asyncio.sleep(9.0)
        with pytest.raises(StreamInterrupted):
            await rest_of(stream)
    assert sees.outcomes == ["failed"]


async def test_past_a_mebibyte_nobody_joins() -> None:
    """Who comes then opens a flight of its own; those who read are not hurt, and the long answer is not stored."""
    fake, known = fake_provider_plugin(pieces(*[LONG] * 18, 5.0, "end")), Cache()
    async with client_of(fake, known) as client:
        first = reading(client)
        await asyncio.sleep(1.0)
        second = reading(client)
        assert [len("".join(one)) for one in await asyncio.gather(first, second)] == [18 * 64 * KIB + 3] * 2
        assert len(fake.asked) == 2
        await asyncio.sleep(1.0)
        assert known.entries == {}


async def test_a_reader_that_falls_too_far_behind_is_ended() -> None:
    """With an error that says so; the others read on."""
    sees, fake = Observer(), fake_provider_plugin(pieces(*[LONG] * 40))
    async with client_of(fake, sees) as client, streamed(client) as slow:
        fast = reading(client)
        assert len("".join(await fast)) == 40 * 64 * KIB
        with pytest.raises(StreamInterrupted) as caught:
            await rest_of(slow)
    assert caught.value.code == "slow_reader"
    assert [(metric.status, metric.code) for metric in sees.metrics] == [("failed", "slow_reader"), ("ok", "")]
    assert sees.outcomes == ["ok"]


# What is reported about it --------------------------------------------------------------------------------------------


async def test_exactly_one_metric_of_a_flight_carries_its_attempts() -> None:
    """Time to the first content is each reader's own, and never negative."""
    sees, fake = Observer(), fake_provider_plugin(pieces(1.0, "a", 2.0, "b"))
    async with client_of(fake, sees) as client:
        early = reading(client)
        await asyncio.sleep(2.0)
        await asyncio.gather(early, reading(client))
    assert sorted(metric.coalesced for metric in sees.metrics) == [False, True]
    assert sum(metric.attempts for metric in sees.metrics) == 1
    assert sorted(metric.first for metric in sees.metrics if metric.first is not None) == [0.0, pytest.approx(1.0)]


async def test_a_receipt_says_that_the_stream_was_shared() -> None:
    """The attempts stand in it anyway."""
    fake = fake_provider_plugin(pieces("a", 1.0, "b"))
    async with client_of(fake) as client:
        async with streamed(client, receipt=True) as one, streamed(client, receipt=True) as two:
            await asyncio.gather(rest_of(one), rest_of(two))
        receipts = [one.receipt, two.receipt]
    assert sorted((receipt.coalesced, len(receipt.attempts)) for receipt in receipts if receipt) == [
        (False, 1),
        (True, 1),
    ]
