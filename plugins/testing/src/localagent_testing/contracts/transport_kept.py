"""The contract of transports: kept connections, and why no request is ever sent twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent import LocalAgentError, Transport
from localagent.errors import UpstreamServerError
from localagent.records import PoolProfile
from localagent_testing.contracts.base import often
from localagent_testing.contracts.exchanging import BODY, MakesTransports, fetch
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import MIB, answer, chunked, head
from localagent_testing.steps import (
    Close,
    Fin,
    Hold,
    Pause,
    ReadBytes,
    ReadHead,
    ReadRequest,
    Reset,
    Script,
    Send,
    Stall,
)

__all__ = ["Kept"]

GOOD = (ReadRequest(), Send(answer(200, b"good")))
HELD = (ReadRequest(), Hold(60.0), Send(answer(200, b"good")))
#: How a connection ends while the server works, or may work, on the request: script, and the bytes of the request.
BREAKS = [
    pytest.param((ReadRequest(), Fin(), Stall()), len(BODY), id="closed"),
    pytest.param((ReadRequest(), Reset()), len(BODY), id="reset"),
    pytest.param((ReadRequest(), Pause(0.05), Close()), len(BODY), id="closed after work"),
    pytest.param((ReadRequest(), Send(head(100)), Fin(), Stall()), len(BODY), id="closed after 100 Continue"),
    pytest.param((ReadRequest(), Fin(), Stall()), 3 * MIB, id="closed after a large body"),
    pytest.param((ReadHead(), Reset()), 3 * MIB, id="reset within the body"),
    pytest.param((ReadBytes(1), Reset()), len(BODY), id="reset at the first byte"),
]
UNASKED = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


class Kept(MakesTransports):
    """Connections that are kept and used again."""

    @pytest.mark.parametrize("turns", [0, 10])
    @pytest.mark.parametrize("what", ["end", "bytes"])
    @pytest.mark.parametrize("method", ["POST", "GET"])
    async def test_what_comes_on_a_kept_connection_is_seen_before_it_is_used(
        self, method: str, what: str, turns: int
    ) -> None:
        """A connection that the server has closed, or on which it sends bytes unasked, is replaced before use.

        If the event loop has no turn between the server's bytes and the request, only the socket itself shows them. If
        it had some, it has read the bytes: a 408 before the end is not the answer to the next request.
        """
        body = BODY if method == "POST" else None
        async with FaultServer(GOOD) as server, self.transport() as transport:
            await fetch(transport, server.url, method=method, body=body)
            for number in range(2, often(10, 200)):
                if what == "end":
                    server.hang_up()
                else:
                    server.speak(UNASKED)
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert await fetch(transport, server.url, method=method, body=body) == b"good"
                assert (len(server.requests), server.requests[-1].connection) == (number, number)

    @pytest.mark.parametrize("others", [1, 3])
    async def test_every_kept_connection_is_looked_at(self, others: int) -> None:
        """If several were closed while idle, none of them is used."""
        async with FaultServer(HELD) as server, self.transport() as transport:
            await at_once(transport, server, others + 1)
            server.hang_up()
            assert await fetch(transport, server.url) == b"good"
            assert server.requests[-1].connection == others + 2

    @pytest.mark.parametrize("method", ["POST", "GET"])
    @pytest.mark.parametrize(("script", "size"), BREAKS)
    async def test_a_kept_connection_that_breaks_is_not_tried_again(
        self, script: Script, size: int, method: str
    ) -> None:
        """After the first byte the server may work on the request, so a break is an error, whatever the method."""
        body = bytes(size) if method == "POST" else None
        async with FaultServer([GOOD, script, GOOD]) as server, self.transport() as transport:
            await fetch(transport, server.url)
            with pytest.raises(UpstreamServerError) as caught:
                await fetch(transport, server.url, method=method, body=body)
            advice = caught.value.advice
            assert (advice.billed, advice.sent, advice.next) == ("unknown", True, True)
            assert (server.connections.accepted, len(server.requests) <= 2) == (1, True)
            assert await fetch(transport, server.url) == b"good"
            assert server.requests[-1].connection == 2

    @pytest.mark.parametrize("script", [(ReadRequest(), Fin(), Stall()), (ReadRequest(), Reset())])
    async def test_only_a_kept_connection_breaks_as_a_stale_one(self, script: Any) -> None:
        """``advice.stale``: the server may have closed it while it was idle. A new one was never idle."""
        for before, stale in (([], False), ([GOOD], True)):
            async with FaultServer([*before, script]) as server, self.transport() as transport:
                for _ in before:
                    await fetch(transport, server.url)
                with pytest.raises(UpstreamServerError) as caught:
                    await fetch(transport, server.url)
                assert (caught.value.advice.stale, caught.value.advice.same) == (stale, stale)
                assert caught.value.advice.breaker == ("neutral" if stale else "failure")

    async def test_an_answer_that_had_begun_was_no_stale_connection(self) -> None:
        """One byte of an answer shows that the server had the request."""
        begun = (ReadRequest(), Send(b"HTTP/1.1 200 OK\r\nContent-"), Close())
        async with FaultServer([GOOD, begun, GOOD]) as server, self.transport() as transport:
            await fetch(transport, server.url)
            with pytest.raises(LocalAgentError) as caught:
                await fetch(transport, server.url)
            assert (caught.value.advice.stale, len(server.requests)) == (False, 2)

    async def test_a_fresh_request_goes_over_a_new_connection(self) -> None:
        """``phases.fresh`` marks the repetition of a request that a stale connection broke: kept ones are not used."""
        async with FaultServer(GOOD) as server, self.transport() as transport:
            await fetch(transport, server.url)
            assert await fetch(transport, server.url, fresh=True) == b"good"
            assert await fetch(transport, server.url) == b"good"
            connections = [request.connection for request in server.requests]
            assert (connections[:2], connections[2] in (1, 2)) == ([1, 2], True)

    async def test_a_fresh_request_keeps_to_the_limit(self) -> None:
        """If the limit would be exceeded, a kept connection is closed."""
        async with FaultServer(GOOD) as server, self.transport(pool=PoolProfile(limit=1, keepalive=60.0)) as transport:
            for _ in range(3):
                await fetch(transport, server.url, fresh=True)
            await server.until(lambda: server.connections.open == 1)
            assert server.connections.accepted == 3

    async def test_when_a_kept_connection_breaks_the_others_are_closed(self) -> None:
        """They lead to the same server and were idle, too; the next request uses a new one."""
        breaks = (ReadRequest(), Reset())
        async with FaultServer([HELD, HELD, HELD, breaks, GOOD]) as server, self.transport() as transport:
            await at_once(transport, server, 3)
            with pytest.raises(UpstreamServerError):
                await fetch(transport, server.url)
            await server.all_closed()
            assert await fetch(transport, server.url) == b"good"
            assert server.requests[-1].connection == 4

    @pytest.mark.parametrize("said", ["timeout=0", "timeout=0, max=100", 'max=5, Timeout="0"'])
    async def test_a_connection_is_not_kept_longer_than_the_server_says(self, said: str) -> None:
        """``Keep-Alive: timeout=N`` of an answer applies, minus a margin; with 0 each request has its own one."""
        script = (ReadRequest(), Send(answer(200, b"good", {"Keep-Alive": said})))
        async with FaultServer(script) as server, self.transport() as transport:
            for _ in range(3):
                assert await fetch(transport, server.url) == b"good"
            assert server.connections.accepted == 3

    @pytest.mark.parametrize(("streamed", "connections"), [(True, 3), (False, 1)])
    async def test_a_connection_that_its_server_closes_behind_streams_is_not_kept(
        self, streamed: bool, connections: int
    ) -> None:
        """llama.cpp's server closes a moment after a stream without notice; it keeps those of whole answers."""
        headers = {"Server": "llama.cpp", "Keep-Alive": "timeout=5, max=100"}
        whole = answer(200, b"good", headers)
        stream = head(200, {**headers, "Transfer-Encoding": "chunked"}) + chunked([b"go", b"od"])
        async with FaultServer((ReadRequest(), Send(stream if streamed else whole))) as server:
            async with self.transport() as transport:
                for _ in range(3):
                    assert await fetch(transport, server.url) == b"good"
            assert server.connections.accepted == connections

    async def test_a_connection_that_was_idle_too_long_is_not_used(self) -> None:
        """``keepalive`` of the pool profile; a connection that was idle for longer is replaced."""
        async with FaultServer(GOOD) as server, self.transport(pool=PoolProfile(keepalive=0.05)) as transport:
            await fetch(transport, server.url)
            await asyncio.sleep(0.1)  # at least so long; more changes nothing
            assert await fetch(transport, server.url) == b"good"
            assert server.connections.accepted == 2


async def at_once(transport: Transport, server: FaultServer, count: int) -> None:
    """Send this many requests at the same time, so that as many connections are kept."""
    tasks = [asyncio.ensure_future(fetch(transport, server.url)) for _ in range(count)]
    await server.arrived(count)
    server.release()
    assert await asyncio.gather(*tasks) == [b"good"] * count
