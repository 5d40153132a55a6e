"""The contract of transports: requests, answers and connections, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent import LocalAgentError
from localagent.errors import ConnectFailed, UpstreamProtocol, UpstreamServerError
from localagent_testing.contracts.base import CLOSING_SECONDS
from localagent_testing.contracts.exchanging import exchange, fetch, nobody_listens
from localagent_testing.contracts.transport_bodies import Bodies
from localagent_testing.contracts.transport_framing import Framing
from localagent_testing.contracts.transport_kept import Kept
from localagent_testing.contracts.transport_odd import Odd
from localagent_testing.contracts.transport_pool import Pool
from localagent_testing.contracts.transport_safety import Safety
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import answer, chunk, chunked, head
from localagent_testing.steps import Close, Fin, Hold, ReadRequest, Reset, Send, Stall

__all__ = ["TransportContract"]

CHUNKED = {"Transfer-Encoding": "chunked"}
OK = (ReadRequest(), Send(answer(200, {"ok": True})))
GONE_BEFORE_AN_ANSWER = [
    pytest.param((ReadRequest(), Fin(), Stall()), id="closed"),
    pytest.param((ReadRequest(), Reset()), id="reset"),
]
CUT_BODIES = [
    pytest.param((Send(head(200, {"Content-Length": "10"}) + b"half"), Close()), id="length"),
    pytest.param((Send(head(200, CHUNKED) + chunk(b"half")), Close()), id="chunked"),
    pytest.param((Send(head(200, {"Content-Length": "10"}) + b"half"), Reset()), id="reset"),
]
NO_HTTP = [
    pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="other protocol"),
    pytest.param(b"HTTP/1.1 2x0 OK\r\n\r\n", id="status line"),
    pytest.param(head(200, [("Content-Length", "2"), ("Content-Length", "3")]) + b"{}", id="two lengths"),
]


class TransportContract(Bodies, Framing, Kept, Odd, Pool, Safety):
    """The promises of every transport; see ``localagent.records.transport``.

    The author writes one method::

        class TestMine(TransportContract):
            @asynccontextmanager
            async def transport(self, *, pool=PoolProfile(), size_limits=SizeLimits()):
                yield MyTransport(pool, size_limits)
    """

    # Requests and answers

    async def test_a_request_arrives_as_it_was_given(self) -> None:
        """Method, path with query and percent signs, headers and body reach the server unchanged."""
        async with FaultServer(OK) as server, self.transport() as transport:
            url = server.url + "/v1/chat%2Fx?a=b%20c&a=d"
            async with exchange(transport, url, headers={"X-Own": "1"}, body=b"\x00 any bytes") as got:
                await got.read()
            (request,) = server.requests
            assert (request.method, request.path) == ("POST", "/v1/chat%2Fx?a=b%20c&a=d")
            assert (request.header("X-Own"), request.body) == ("1", b"\x00 any bytes")

    async def test_a_get_has_no_body(self) -> None:
        """A request without a body does not announce one."""
        async with FaultServer(OK) as server, self.transport() as transport:
            await fetch(transport, server.url, method="GET", body=None)
            (request,) = server.requests
            assert (request.method, request.body, request.header("Transfer-Encoding")) == ("GET", b"", None)
            assert request.header("Content-Length") in (None, "0")

    async def test_a_large_body_arrives_whole(self) -> None:
        """A request of 3 MiB arrives byte for byte."""
        body = bytes(range(256)) * 12 * 1024
        async with FaultServer(OK) as server, self.transport() as transport:
            await fetch(transport, server.url, body=body)
            assert server.requests[0].body == body

    @pytest.mark.parametrize("status", [200, 201, 400, 404, 429, 500, 503])
    async def test_every_status_is_an_answer(self, status: int) -> None:
        """A status is returned with headers and body; it never raises. Header names are case-insensitive."""
        script = (ReadRequest(), Send(answer(status, {"said": status}, {"Retry-After": "7"})))
        async with FaultServer(script) as server, self.transport() as transport, exchange(transport, server.url) as got:
            assert (got.status, got.headers["retry-after"]) == (status, "7")
            assert await got.read() == b'{"said":%d}' % status

    async def test_a_close_delimited_body_ends_with_the_connection(self) -> None:
        """If neither length nor chunks are announced, the end of the connection is the end of the body."""
        script = (ReadRequest(), Send(head(200) + b"all of it"), Close())
        async with FaultServer(script) as server, self.transport() as transport:
            assert await fetch(transport, server.url) == b"all of it"

    async def test_parts_come_as_they_arrive(self) -> None:
        """A part is returned before the next one arrives; at the end ``read_chunk`` always returns empty bytes."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"one")), Hold(5.0), Send(chunked([b"two"])))
        async with FaultServer(script) as server, self.transport() as transport, exchange(transport, server.url) as got:
            assert await got.read_chunk() == b"one"
            assert not got.ended
            server.release()
            assert await got.read_chunk() == b"two"
            assert [await got.read_chunk(), await got.read_chunk()] == [b"", b""]
            assert got.ended

    async def test_read_gives_what_parts_have_left(self) -> None:
        """``read`` after ``read_chunk`` returns the rest."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"one")), Hold(5.0), Send(chunked([b"two", b"three"])))
        async with FaultServer(script) as server, self.transport() as transport, exchange(transport, server.url) as got:
            assert await got.read_chunk() == b"one"
            server.release()
            assert await got.read() == b"twothree"

    # Connections

    async def test_a_connection_is_kept_when_the_body_was_read(self) -> None:
        """Consecutive requests share a connection."""
        async with FaultServer(OK) as server, self.transport() as transport:
            for _ in range(5):
                await fetch(transport, server.url)
            assert server.connections.accepted == 1

    async def test_a_refused_connection_was_never_sent(self) -> None:
        """If nothing listens, the error is ``ConnectFailed``, which shows that nothing was sent."""
        with nobody_listens() as url:
            async with self.transport() as transport:
                with pytest.raises(ConnectFailed) as caught:
                    await fetch(transport, url)
            assert (caught.value.advice.sent, caught.value.phase) == (False, "connect")

    @pytest.mark.parametrize("script", GONE_BEFORE_AN_ANSWER)
    async def test_a_new_connection_that_breaks_is_not_tried_again(self, script: Any) -> None:
        """The server may have worked on a request that arrived, so it is not sent twice."""
        async with FaultServer(script) as server, self.transport() as transport:
            with pytest.raises(UpstreamServerError) as caught:
                await fetch(transport, server.url)
            assert caught.value.advice.billed == "unknown"
            assert len(server.requests) == 1

    @pytest.mark.parametrize("script", CUT_BODIES)
    async def test_a_cut_body_is_an_error(self, script: Any) -> None:
        """A body that ends before its announced end is ``UpstreamServerError``, and its connection is not kept."""
        async with FaultServer((ReadRequest(), *script)) as server, self.transport() as transport:
            for _ in range(2):
                with pytest.raises(UpstreamServerError):
                    await fetch(transport, server.url)
            assert server.connections.accepted == 2

    @pytest.mark.parametrize("data", NO_HTTP)
    async def test_what_is_no_http_is_a_protocol_error(self, data: bytes) -> None:
        """Garbage is ``UpstreamProtocol``, whatever status a client library assigns to it."""
        async with FaultServer((ReadRequest(), Send(data), Close())) as server, self.transport() as transport:
            with pytest.raises(UpstreamProtocol):
                await fetch(transport, server.url)

    # How answers end

    @pytest.mark.parametrize("parts", [0, 1])
    @pytest.mark.parametrize("times", [1, 2])
    async def test_abort_closes_the_connection_at_once(self, parts: int, times: int) -> None:
        """An answer's connection is closed by an abort before or within its body; aborting again does nothing."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"one")), Stall())
        async with FaultServer(script) as server, self.transport() as transport, exchange(transport, server.url) as got:
            for _ in range(parts):
                await got.read_chunk()
            for _ in range(times):
                got.abort()
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_abort_from_a_callback_wakes_whoever_reads(self) -> None:
        """A pending read ends with an error when other code aborts."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"one")), Stall())
        async with FaultServer(script) as server, self.transport() as transport, exchange(transport, server.url) as got:
            await got.read_chunk()
            asyncio.get_running_loop().call_soon(got.abort)
            with pytest.raises(LocalAgentError):
                await asyncio.wait_for(got.read_chunk(), CLOSING_SECONDS)
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_abort_after_the_end_leaves_the_connection(self) -> None:
        """An answer that was read to its end has returned its connection; aborting it must not hit the next request."""
        async with FaultServer(OK) as server, self.transport() as transport:
            async with exchange(transport, server.url) as got:
                await got.read()
                got.abort()
                await got.aclose()
            await fetch(transport, server.url)
            assert server.connections.accepted == 1

    async def test_closing_before_the_end_closes_the_connection(self) -> None:
        """``aclose`` of an answer that was not read to its end closes the connection."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"one")), Stall())
        async with FaultServer(script) as server, self.transport() as transport:
            async with exchange(transport, server.url) as got:
                await got.read_chunk()
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_cancelling_a_request_closes_its_connection(self) -> None:
        """A request that is cancelled before its answer comes leaves no connection behind."""
        async with FaultServer((ReadRequest(), Stall())) as server, self.transport() as transport:
            task = asyncio.get_running_loop().create_task(fetch(transport, server.url))
            await server.arrived()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    @pytest.mark.parametrize("how", ["read", "read_chunk"])
    async def test_cancelling_a_reader_closes_the_connection(self, how: str) -> None:
        """A task that is cancelled while reading does not have to clean up."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"one")), Stall())
        async with FaultServer(script) as server, self.transport() as transport, exchange(transport, server.url) as got:
            await got.read_chunk()
            task = asyncio.ensure_future(getattr(got, how)())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_closing_the_transport_closes_what_it_keeps(self) -> None:
        """After closing no kept connection is open."""
        async with FaultServer(OK) as server:
            async with self.transport() as transport:
                await fetch(transport, server.url)
                assert server.connections.open == 1
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)
