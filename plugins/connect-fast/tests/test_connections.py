"""How connections are kept, given up and read from; beyond the contracts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest

from localagent.errors import ConnectFailed, UpstreamProtocol
from localagent.records import ConnectSettings, PoolProfile, PoolStats
from localagent_connect_fast import FastTransport, Resolver
from localagent_connect_fast.answer import MARK
from localagent_testing import Authority, FaultServer, Hold, ReadRequest, Repeat, Send, Stall, answer, head
from localagent_testing.contracts.exchanging import HERE, POOL, exchange, fetch
from localagent_testing.http_bytes import chunk

CHUNKED = {"Transfer-Encoding": "chunked"}
GOOD = (ReadRequest(), Send(answer(200, b"good")))
HELD = (ReadRequest(), Hold(10.0), Send(answer(200, b"good")))


@asynccontextmanager
async def fast(pool: PoolProfile = POOL, settings: ConnectSettings | None = None) -> AsyncIterator[FastTransport]:
    resolver = Resolver()
    made = FastTransport(attrs.evolve(HERE, pool=pool), resolver, settings or ConnectSettings())
    try:
        yield made
    finally:
        await made.aclose()
        await resolver.aclose()


async def test_before_the_first_request_there_is_nothing() -> None:
    """The figures name the limit, and no connection is there."""
    async with fast(PoolProfile(limit=7)) as transport:
        assert transport.stats() == PoolStats(limit=7)


async def test_the_connection_used_last_is_used_next() -> None:
    """So that the others may grow old, and few are needed where little is asked."""
    async with FaultServer([HELD, HELD, GOOD, GOOD]) as server, fast() as transport:
        both = [asyncio.ensure_future(fetch(transport, server.url)) for _ in range(2)]
        await server.arrived(2)
        server.release()
        await asyncio.gather(*both)
        for _ in range(2):
            await fetch(transport, server.url)
        assert [request.connection for request in server.requests[2:]] == [2, 2]


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    """Whether anybody asks or not."""
    async with FaultServer(GOOD) as server, fast(PoolProfile(keepalive=0.05)) as transport:
        await fetch(transport, server.url)
        await asyncio.wait_for(server.all_closed(), 5.0)
        assert transport.stats().idle == 0


async def test_without_keepalive_nothing_is_kept() -> None:
    """Each request has a connection of its own."""
    async with FaultServer(GOOD) as server, fast(PoolProfile(keepalive=0.0)) as transport:
        for _ in range(2):
            await fetch(transport, server.url)
        assert (server.connections.accepted, transport.stats().idle) == (2, 0)


async def test_an_instance_that_moves_takes_no_old_connection() -> None:
    """A connection leads where it led; an address that changed gets a new one, and the old one is closed."""
    async with FaultServer(GOOD) as old, FaultServer(GOOD) as new, fast() as transport:
        for server in (old, new):
            await fetch(transport, server.url)
        await asyncio.wait_for(old.all_closed(), 5.0)
        assert (len(old.requests), len(new.requests), transport.stats().idle) == (1, 1, 1)


async def test_who_speaks_unasked_is_left() -> None:
    """Bytes on an idle connection are not taken as the answer to the next request."""
    talks = (ReadRequest(), Send(answer(200, b"good")), Hold(10.0), Send(answer(200, b"unasked")), Stall())
    async with FaultServer([talks, GOOD]) as server, fast() as transport:
        await fetch(transport, server.url)
        server.release()
        await asyncio.wait_for(server.all_closed(), 5.0)
        assert await fetch(transport, server.url) == b"good"


async def test_what_nobody_reads_is_not_taken_in() -> None:
    """A reader that rests makes the server wait: no more is buffered than a mark and one read."""
    endless = (ReadRequest(), Send(head(200, CHUNKED)), Repeat((Send(chunk(bytes(65536))),)))
    async with FaultServer(endless) as server, fast() as transport, exchange(transport, server.url) as got:
        await got.read_chunk()
        while got.connection is not None and not got.connection.reading_paused:  # noqa: ASYNC110 - the loop has a turn
            await asyncio.sleep(0)
        assert got.size <= MARK + 65536
        assert await got.read_chunk()
        assert got.connection is not None
        assert not got.connection.reading_paused


@pytest.mark.parametrize("begin", [b"0\r\nX-Trailer: ", b"5;extension="])
async def test_endless_trailers_and_extensions_are_cut(begin: bytes) -> None:
    """What is no body may not fill the memory."""
    script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"good") + begin), Repeat((Send(b"x" * 65536),)))
    async with FaultServer(script) as server, fast() as transport:
        with pytest.raises(UpstreamProtocol):
            await fetch(transport, server.url)


async def test_only_the_named_authority_is_trusted() -> None:
    """A certificate of the named authority is accepted; without it the same server is not."""
    authority = Authority()
    with authority.file() as file:
        async with FaultServer(GOOD, tls=authority.good()) as server:
            async with fast(settings=ConnectSettings(authority=file)) as transport:
                for size in (2, 3 * 1024 * 1024):
                    assert await fetch(transport, server.url, body=bytes(size)) == b"good"
                assert (transport.stats().handshakes, len(server.requests[1].body)) == (1, 3 * 1024 * 1024)
            async with fast() as transport:
                with pytest.raises(ConnectFailed):
                    await fetch(transport, server.url)
                assert transport.stats().failed == 1


@pytest.mark.leaks("the first loop that uvloop makes opens a pipe for the life of the process")
def test_it_runs_on_uvloop() -> None:
    """Where uvloop is installed; its transports are none of asyncio's."""
    uvloop = pytest.importorskip("uvloop")

    async def ask() -> bytes:
        async with FaultServer(GOOD) as server, fast() as transport:
            await fetch(transport, server.url)
            return await fetch(transport, server.url, body=bytes(3 * 1024 * 1024))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == b"good"
