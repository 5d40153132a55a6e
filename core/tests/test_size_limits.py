"""Every buffer that grows with foreign bytes has a cap; reading stops there, and the connection is closed."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from localagent import Attempt, Chunk, Client, LocalAgentError
from localagent.errors import ResponseTooLarge, StreamInterrupted, UpstreamProtocol
from localagent.http_answers import OpenAIDecoder, chat_response
from localagent.http_answers.openai_stream import MOST_CHOICES
from localagent.schema.joining import split_document
from localagent_connect_aiohttp import AiohttpConnectPlugin, Inflater
from localagent_testing import FakeCore, FaultServer, Repeat, Reply, Send, fake_provider_plugin, sse
from localagent_testing.fake_provider import FakeProvider, FakeProviderPlugin
from localagent_testing.http_bytes import answer, chunk, head
from localagent_testing.steps import ReadRequest, Script
from localagent_testing.wire_plugin import WirePlugin

KIB = 1024
MIB = 1024 * KIB
PIECE = 64 * KIB
SMALL = {"body": MIB, "event": 128 * KIB, "stream": MIB, "models": 64 * KIB, "error": 4 * KIB}


class Endless:
    """An answer that never ends, and counts what was taken of it."""

    status = 200
    headers: Mapping[str, str] = {}
    ended = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.taken = 0
        self.aborted = False

    async def read_chunk(self) -> bytes:
        assert not self.aborted
        piece = next(self._pieces)
        self.taken += len(piece)
        assert self.taken < 64 * MIB
        return piece

    async def read(self, cap: int | None = None) -> bytes:
        raise NotImplementedError

    def abort(self) -> None:
        self.aborted = True

    async def aclose(self) -> None:
        self.abort()


class Hoarder:
    """A decoder of somebody else's that keeps all it is given and hands out nothing."""

    usage = finish_reason = None
    facts: Mapping[str, Any] = {}
    done = False
    rest: Sequence[Chunk] = ()

    def __init__(self, attempt: Attempt) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> list[Chunk]:
        self._kept += data
        return []

    def end(self) -> list[Chunk]:
        return []

    def meaningful(self, chunk: Chunk) -> bool:
        return True


def event(**choice: Any) -> bytes:
    return sse([{"choices": [{"index": 0, **choice}]}])


ROLE = event(delta={"role": "assistant", "content": ""})
TEXT = event(delta={"content": "ab"})
ARGUMENTS = event(delta={"tool_calls": [{"index": 0, "function": {"arguments": "ab"}}]})
CALL = event(delta={"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]})


def again(piece: bytes, *first: bytes) -> Callable[[], Iterator[bytes]]:
    """Pieces of about 64 KiB without end, behind some others."""
    large = piece * max(1, PIECE // len(piece))
    return lambda: itertools.chain(first, itertools.repeat(large))


def choices_without_end() -> Iterator[bytes]:
    return (event(index=number, delta={"content": "a"}) for number in itertools.count())


BEFORE_CONTENT: dict[str, tuple[Callable[[], Iterator[bytes]], Callable[[Attempt], Any], int]] = {
    "a whole answer": (again(b"a", b'{"choices": [{"message": {"content": "'), OpenAIDecoder, SMALL["body"]),
    "white space": (again(b" "), OpenAIDecoder, SMALL["body"]),
    "comments": (again(b": still here\n\n"), OpenAIDecoder, SMALL["body"]),
    "roles": (again(ROLE), OpenAIDecoder, SMALL["event"]),
    "events without choices": (again(sse([{"choices": []}])), OpenAIDecoder, SMALL["body"]),
    "one event": (again(b"a", b"data: "), lambda one: OpenAIDecoder(one, max_event=SMALL["event"]), SMALL["event"]),
    "lines of one event": (
        again(b"data: a\n"), lambda one: OpenAIDecoder(one, max_event=SMALL["event"]), SMALL["event"],
    ),
    "somebody else's decoder": (again(b"a"), Hoarder, SMALL["body"]),
}  # fmt: skip

AFTER_CONTENT: dict[str, tuple[Callable[[], Iterator[bytes]], int]] = {
    "text": (again(TEXT), SMALL["stream"]),
    "comments": (again(b": still here\n\n", TEXT), SMALL["stream"]),
    "arguments of a tool call": (again(ARGUMENTS, CALL), SMALL["stream"]),
    "one event": (again(b"a", TEXT, b"data: "), SMALL["event"]),
    "choices": (choices_without_end, SMALL["stream"]),
}


def provider(made: list[Endless], pieces: Callable[[], Iterator[bytes]], decoder: Any) -> type[FakeProviderPlugin]:
    class Provider(FakeProvider):
        async def stream(self, attempt: Attempt, transport: Any) -> Any:
            attempt.phases.enter("first_token")
            made.append(Endless(pieces()))
            return made[-1], decoder(attempt)

    kind = fake_provider_plugin(Reply())
    kind._make = lambda self, setup: Provider(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    return kind


@asynccontextmanager
async def client_of(*plugins: Any, flights: bool = False, **settings: Any) -> AsyncIterator[Client]:
    settings = {"health": {"enabled": False}, "sharing": {"flights": flights}, **settings}
    async with Client(settings, plugins=plugins, environment={}, seed=1) as client:
        yield client
        runtime = await client.runtime()
        assert not runtime.engine.streams
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


async def read(client: Client) -> LocalAgentError:
    """Read a stream to its end, keeping nothing; return the error that ends it."""

    async def through() -> None:
        async with client.stream("Hi.", temperature=0) as stream:
            async for _ in stream:
                pass

    with pytest.raises(LocalAgentError) as raised:
        await through()
    error = raised.value
    return error.cause if isinstance(error, StreamInterrupted) and error.cause is not None else error


def capped(kind: str, name: str = "fake") -> dict[str, Any]:
    return {"providers": {name: {"type": kind, "size_limits": SMALL}}}


@pytest.mark.parametrize("flights", [False, True])
@pytest.mark.parametrize("what", BEFORE_CONTENT)
async def test_what_comes_before_any_content_is_capped(what: str, flights: bool) -> None:
    pieces, decoder, cap = BEFORE_CONTENT[what]
    made: list[Endless] = []
    async with client_of(provider(made, pieces, decoder), flights=flights, **capped("fake")) as client:
        tracemalloc.start()
        try:
            error = await read(client)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(error, ResponseTooLarge)
        assert [one.aborted for one in made] == [True]
        assert made[0].taken <= cap + 2 * PIECE
        assert peak < 8 * MIB


@pytest.mark.parametrize("flights", [False, True])
@pytest.mark.parametrize("what", AFTER_CONTENT)
async def test_what_comes_of_a_stream_is_capped(what: str, flights: bool) -> None:
    pieces, cap = AFTER_CONTENT[what]
    made: list[Endless] = []

    def decoder(one: Attempt) -> OpenAIDecoder:
        return OpenAIDecoder(one, max_event=SMALL["event"])

    async with client_of(provider(made, pieces, decoder), flights=flights, **capped("fake")) as client:
        tracemalloc.start()
        try:
            error = await read(client)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(error, ResponseTooLarge)
        assert [one.aborted for one in made] == [True]
        assert made[0].taken <= cap + 2 * PIECE
        assert peak < 8 * MIB


async def test_the_text_of_a_stream_that_is_cut_is_kept_in_its_own_size() -> None:
    made: list[Endless] = []
    async with client_of(provider(made, again(TEXT), OpenAIDecoder), **capped("fake")) as client:
        with pytest.raises(StreamInterrupted) as raised:
            await client.stream("Hi.").text()
    assert len(raised.value.partial) == 2 * (made[0].taken // len(TEXT))


async def test_a_decoder_caps_a_whole_answer_by_itself() -> None:
    decoder = OpenAIDecoder(FakeCore().attempt(), max_body=1000)
    decoder.feed(b'{"a": "' + b"a" * 900)
    with pytest.raises(ResponseTooLarge):
        decoder.feed(b"a" * 200)


async def test_a_decoder_caps_the_choices() -> None:
    decoder = OpenAIDecoder(FakeCore().attempt())
    with pytest.raises(ResponseTooLarge):
        decoder.feed(b"".join(itertools.islice(choices_without_end(), MOST_CHOICES + 1)))


async def test_a_whole_answer_with_too_many_choices_makes_no_stream() -> None:
    decoder = OpenAIDecoder(FakeCore().attempt())
    decoder.feed(b'{"choices": [' + b",".join([b"{}"] * (MOST_CHOICES + 1)) + b"]}")
    with pytest.raises(ResponseTooLarge):
        decoder.end()


@pytest.mark.parametrize("name", ["id", "model", "created"])
def test_what_every_event_repeats_does_not_multiply(name: str) -> None:
    document = {name: "a" * MIB, "choices": [{"message": {"content": "a"}}] * 1000}
    with pytest.raises(ResponseTooLarge):
        split_document(document)


async def test_events_that_came_unasked_are_joined_bit_by_bit() -> None:
    events = TEXT * (MIB // 2 // len(TEXT)) + event(delta={}, finish_reason="stop") + b"data: [DONE]\n\nleft over"
    attempt = FakeCore().attempt()
    tracemalloc.start()
    try:
        response = chat_response(events, attempt)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.text == "ab" * (MIB // 2 // len(TEXT))
    assert peak < 8 * MIB


async def test_an_error_inside_an_answer_is_not_decoded_whole() -> None:
    error = msgspec.json.encode({"error": {"message": "no", "more": [{}] * (MIB // 3)}})
    attempt = FakeCore().attempt()
    with pytest.raises(LocalAgentError):
        chat_response(error, attempt)


def test_a_compression_may_not_hold_next_to_nothing() -> None:
    inflater = Inflater(31)
    inflater.feed(gzip.compress(b"")[:10])
    nothing = b"\0\0\0\xff\xff" * 1000
    fed = itertools.takewhile(lambda _: inflater.feed(nothing) == b"", range(1000))
    with pytest.raises(ResponseTooLarge):
        list(fed)


# Through sockets ------------------------------------------------------------------------------------------------------


def endless(start: bytes, piece: bytes) -> Script:
    begin = head(200, {"Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(begin), Send(chunk(start)), Repeat((Send(chunk(piece)),)))


@asynccontextmanager
async def served(script: Script) -> AsyncIterator[tuple[FaultServer, Client]]:
    async with FaultServer(script) as server:
        settings = {"wire": {"instances": [server.url], "size_limits": SMALL}}
        async with client_of(AiohttpConnectPlugin, WirePlugin, providers=settings, default_model="wire/m") as client:
            yield server, client
            if len(script) > 2:  # of a bomb all was received, and its connection may be kept
                await server.all_closed()


BOMB = gzip.compress(b'{"choices": [{"message": {"content": "' + b"a" * 40 * MIB + b'"}, "finish_reason": "stop"}]}')
ROLES = gzip.compress(ROLE * (8 * MIB // len(ROLE)))
SCRIPTS: dict[str, Script] = {
    "without end": endless(b'{"choices": [{"message": {"content": "', b"a" * PIECE),
    "a bomb": (ReadRequest(), Send(answer(200, BOMB, {"Content-Encoding": "gzip"}))),
    "a bomb of events": (ReadRequest(), Send(answer(200, ROLES, {"Content-Encoding": "gzip"}))),
}


@pytest.mark.parametrize("what", SCRIPTS)
async def test_an_answer_to_a_stream_over_a_socket_is_capped(what: str) -> None:
    async with served(SCRIPTS[what]) as (_, client):
        tracemalloc.start()
        try:
            error = await read(client)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(error, ResponseTooLarge)
        assert peak < 12 * MIB


@pytest.mark.parametrize("ask", ["models", "health"])
async def test_a_model_list_is_capped(ask: str) -> None:
    async with served(endless(b'{"data": [', b'{"id": "a"},' * 5000)) as (_, client):
        if ask == "models":
            with pytest.raises(ResponseTooLarge):
                await client.models()
        else:
            assert [state.health for state in await client.health()] == ["unhealthy"]


async def test_the_body_of_an_error_is_capped() -> None:
    script = endless(b'{"error": "', b"a" * PIECE)
    begin = head(500, {"Transfer-Encoding": "chunked"})
    async with served((script[0], Send(begin), *script[2:])) as (_, client):
        with pytest.raises(LocalAgentError) as raised:
            await client.chat("Hi.")
        assert not isinstance(raised.value, UpstreamProtocol)
