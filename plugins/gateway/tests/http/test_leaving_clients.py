"""Clients that leave at random points: every gauge is back at zero, and their upstreams are closed at once.

300 by default, 10,000 with ``LOCALAGENT_FULL=1``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from raw_attacks import CHAT_LINE, HOST

from localagent import OpenAICompatible, Plugin, ProviderType, hookimpl
from localagent.plugin_api.plugin import NoSettings
from localagent_testing import FaultServer, ReceivedRequest, Script, Send, Stall, answer, chunk, chunked, head, sse
from localagent_testing.contracts.base import CLOSING_SECONDS, often

MANY = often(300, 10_000)
PARTS = often(1, 10)
AT_ONCE = 50
LATEST = 30.0  # a generous ceiling: an upstream stalls for ever, so nobody but the gateway closes it
LARGE = 900_000  # bytes; aiohttp stops reading behind half a MiB that nobody asks for
EVENTS = [{"choices": [{"index": 0, "delta": {"content": f"{number} "}}]} for number in range(12)]
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
WHOLE = {"choices": [{"index": 0, "message": {"content": "whole"}, "finish_reason": "stop"}]}


class Wire(Plugin):
    """Any OpenAI-compatible server."""

    name = "provider-wire"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        def make(setup: object) -> OpenAICompatible:
            return OpenAICompatible(setup, *setup.instances("http://127.0.0.1:9"))  # type: ignore[arg-type, attr-defined]

        return [ProviderType("wire", NoSettings, make)]


def script(request: ReceivedRequest) -> Script:
    """Say as much as the prompt asks for, and then stall, so that only the gateway can close; or all of it."""
    asked = re.search(rb"say (\d+)", request.body)
    said = int(asked[1]) if asked else 0
    whole = said > len(EVENTS)
    if b'"stream":true' not in request.body:
        return (Send(answer(200, WHOLE, {"Connection": "close"})),) if whole else (Stall(),)
    if said == 0:
        return (Stall(),)
    begin = Send(head(200, {"Transfer-Encoding": "chunked", "Connection": "close"}))
    events = [Send(chunk(sse([event]))) for event in EVENTS[:said]]
    return (begin, *events, *([Send(chunked([sse([LAST, "[DONE]"])]))] if whole else [Stall()]))


def ask(say: int, *, stream: bool) -> bytes:
    """Return the bytes of a chat request."""
    flag = b"true" if stream else b"false"
    body = b'{"model":"wire/m","stream":%b,"messages":[{"role":"user","content":"say %d"}]}' % (flag, say)
    return CHAT_LINE + HOST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@contextlib.asynccontextmanager
async def connected(served: Any, *, reset: bool) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect; at the end leave with what is unread, by a reset or by closing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.transport.abort() if reset else writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def turns(source: random.Random) -> None:
    for _ in range(source.randrange(40)):
        await asyncio.sleep(0)


async def in_the_request(served: Any, source: random.Random) -> None:
    """Leave anywhere in head or body."""
    data = ask(99, stream=source.random() < 0.5)
    async with connected(served, reset=source.random() < 0.5) as (_, writer):
        writer.write(data[: source.randrange(len(data))])
        await turns(source)


async def before_the_answer(served: Any, source: random.Random) -> None:
    """Leave while the model has said nothing yet, streamed or not."""
    async with connected(served, reset=source.random() < 0.5) as (_, writer):
        writer.write(ask(0, stream=source.random() < 0.5))
        await turns(source)


async def in_the_stream(served: Any, source: random.Random) -> None:
    """Read some events, and leave."""
    say = source.randrange(1, 12)
    async with connected(served, reset=source.random() < 0.5) as (reader, writer):
        writer.write(ask(say, stream=True))
        for _ in range(source.randrange(1, say + 1)):
            await reader.readuntil(b"data: ")


async def in_the_pipeline(served: Any, source: random.Random) -> None:
    """Send several requests at once, and leave; aiohttp reads no more behind 32."""
    async with connected(served, reset=source.random() < 0.5) as (_, writer):
        for _ in range(source.randrange(2, 100)):
            writer.write(ask(source.choice((0, 99)), stream=source.random() < 0.5))
        await turns(source)


async def behind_a_large_body(served: Any, source: random.Random) -> None:
    """Send a request whose answer does not come, and behind it a body so large that it is not read; leave."""
    async with connected(served, reset=source.random() < 0.5) as (_, writer):
        writer.write(ask(0, stream=source.random() < 0.5))
        writer.write(CHAT_LINE + HOST + b"Content-Length: %d\r\n\r\n" % LARGE)
        writer.write(b" " * source.randrange(LARGE + 1))
        await turns(source)


async def at_the_end(served: Any, source: random.Random) -> None:
    """Read all of it, whole or streamed."""
    stream = source.random() < 0.5
    async with connected(served, reset=False) as (reader, writer):
        writer.write(ask(99, stream=stream))
        await reader.readuntil(b"[DONE]" if stream else b"whole")


Way = Callable[[Any, random.Random], Awaitable[None]]
LEAVING: list[Way] = [in_the_request, before_the_answer, in_the_stream, in_the_pipeline, behind_a_large_body]
WAYS: list[Way] = [*LEAVING, at_the_end]


@contextlib.asynccontextmanager
async def counted(serve: Any, server: FaultServer) -> AsyncIterator[Any]:
    """A gateway; at the end every count is back where it was at the start."""
    settings = {
        "providers": {"wire": {"instances": [server.url], "pool": {"limit": 1000}}},
        "health": {"enabled": False},
    }
    async with serve(settings, plugins=[Wire]) as served:
        yield served
        gateway, runtime = served.worker.server, await served.client.runtime()
        assert await gateway.wait_unconnected(CLOSING_SECONDS)
        assert await gateway.wait_idle(CLOSING_SECONDS)
        await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)
        assert (gateway.active, gateway.connections) == (0, 0)
        assert (len(gateway._readers._marks), len(gateway._server.unread)) == (0, 0)
        assert (len(runtime.engine.calls), len(runtime.engine.streams)) == (0, 0)
        (state,) = [runtime.instances.state(instance) for instance in runtime.instances]
        assert state.in_flight == 0
        if state.transport is not None:  # nobody came so far as to need one
            assert (state.transport.permits.used, state.transport.permits.waiting) == (0, 0)


@pytest.mark.parametrize("part", range(PARTS))
async def test_clients_that_leave_anywhere_leave_nothing(serve: Any, part: int) -> None:
    """Connections, requests, calls, streams, attempts, permits and marks are counted down; no descriptor is left."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with FaultServer(script) as server, counted(serve, server) as served:

        async def one(number: int) -> None:
            async with slots:
                await WAYS[number % len(WAYS)](served, random.Random(number))

        await asyncio.gather(*(one(part * MANY + number) for number in range(MANY // PARTS)))
        assert server.connections.accepted > MANY / PARTS / 4


@pytest.mark.parametrize("way", LEAVING[1:])
async def test_the_upstream_of_a_client_that_left_is_closed_at_once(serve: Any, way: Way) -> None:
    """One at a time, so that nothing else is measured; with ``LOCALAGENT_FULL=1`` each within 100 ms."""
    took = []
    async with FaultServer(script) as server, counted(serve, server) as served:
        loop = asyncio.get_running_loop()
        for number in range(often(10, 250)):
            await way(served, random.Random(number))
            left = loop.time()
            await asyncio.wait_for(server.all_closed(), LATEST)
            took.append(loop.time() - left)
        upstreams = server.connections.accepted
    print(f"{way.__name__}: {upstreams} upstreams, the last closed after {max(took) * 1000:.1f} ms")
    assert upstreams > len(took) / 4  # some leave before theirs is asked
    assert max(took) <= CLOSING_SECONDS
