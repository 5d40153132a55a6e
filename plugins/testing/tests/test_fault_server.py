"""``FaultServer``: it says byte for byte what its script says, records what it is sent, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from localagent_testing.authority import Authority
from localagent_testing.connection import ReceivedRequest
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import answer, chunked
from localagent_testing.steps import (
    Close,
    Drip,
    Fin,
    Hold,
    Pause,
    ReadBytes,
    ReadHead,
    ReadRequest,
    Repeat,
    Reset,
    Script,
    Send,
    Stall,
)

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = answer(200, b"fine", content_type=None)
SOON = 5.0


@contextlib.asynccontextmanager
async def connected(
    server: FaultServer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a server; hang up at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def said(server: FaultServer, request: bytes = GET) -> bytes:
    """Send a request on a new connection and return all that is said until the end."""
    async with connected(server) as (reader, writer):
        writer.write(request)
        return await asyncio.wait_for(reader.read(), SOON)


async def test_the_answer_is_the_scripts_bytes_and_nothing_else() -> None:
    """The bytes do not have to be HTTP."""
    async with FaultServer((ReadRequest(), Send(b"\x00garbage"), Send(b"\r\n"), Close())) as server:
        assert await said(server) == b"\x00garbage\r\n"


async def test_a_request_is_recorded_as_it_came() -> None:
    """Method, path, headers in order with their case, body, place and connection."""
    post = b"POST /v1/x?y=%20 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a:2\r\nContent-Length: 3\r\n\r\nabc"
    async with FaultServer((ReadRequest(), Send(OK), Close())) as server:
        await said(server, post)
    headers = (("Host", "h"), ("X-A", "1"), ("x-a", "2"), ("Content-Length", "3"))
    assert server.requests == [ReceivedRequest(1, 1, "POST", "/v1/x?y=%20", headers, b"abc")]
    assert server.requests[0].header("x-A") == "1"
    assert server.requests[0].header("nothing") is None
    assert server.received == len(post)


async def test_a_chunked_request_body_is_joined() -> None:
    """Chunk sizes, extensions and trailers are read over."""
    body = b"2;x=1\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n"
    async with FaultServer((ReadRequest(), Send(OK), Close())) as server:
        await said(server, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert server.requests[0].body == b"abc"


async def test_one_connection_serves_several_requests() -> None:
    """A script that leaves the connection open is done again for the next request on it."""
    async with FaultServer((ReadRequest(), Send(OK))) as server:
        async with connected(server) as (reader, writer):
            for _ in range(3):
                writer.write(GET)
                assert await reader.readexactly(len(OK)) == OK
        await asyncio.wait_for(server.all_closed(), SOON)
        assert [(request.number, request.connection) for request in server.requests] == [(1, 1), (2, 1), (3, 1)]
        assert (server.connections.accepted, server.connections.open) == (1, 0)


async def test_a_list_gives_the_nth_script_to_the_nth_request_of_the_server() -> None:
    """Which connection a request comes on makes no difference; beyond the list there is a reset."""
    scripts: list[Script] = [(ReadRequest(), Send(b"%d" % number)) for number in range(3)]
    async with FaultServer(scripts) as server, connected(server) as (reader, writer):
        writer.write(GET)
        assert await reader.readexactly(1) == b"0"
        async with connected(server) as (other_reader, other_writer):
            other_writer.write(GET)
            assert await other_reader.readexactly(1) == b"1"
        writer.write(GET)
        assert await reader.readexactly(1) == b"2"
        writer.write(GET)
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_function_chooses_by_the_request() -> None:
    """It sees the whole request; a step that would read it again is left out."""

    def choose(request: ReceivedRequest) -> Script:
        return (ReadRequest(), Send(request.path.encode()), Close())

    async with FaultServer(choose) as server:
        assert await said(server, GET.replace(b"/ ", b"/one ")) == b"/one"
        assert await said(server, GET.replace(b"/ ", b"/two ")) == b"/two"
    assert len(server.requests) == 2


async def test_a_script_may_speak_first() -> None:
    """Without a reading step nothing is waited for, and what the client sends does not start the script again."""
    async with FaultServer((Send(b"hello"),)) as server, connected(server) as (reader, writer):
        assert await reader.readexactly(5) == b"hello"
        writer.write(GET * 10)
        writer.write_eof()
        assert await reader.read() == b""
    assert server.requests == []


async def test_a_reset_is_a_reset() -> None:
    """The client gets an error, not an end."""
    async with FaultServer((ReadRequest(), Reset())) as server:
        with pytest.raises(ConnectionResetError):
            await said(server)


async def test_half_closed_ends_the_answer_and_still_reads() -> None:
    """After ``Fin`` the client sees the end; the script can go on reading."""
    async with FaultServer((ReadHead(), Send(b"bye"), Fin(), ReadBytes(4), Stall())) as server:
        async with connected(server) as (reader, writer):
            writer.write(GET)
            assert await reader.read() == b"bye"
            writer.write(b"more and more")
        await asyncio.wait_for(server.all_closed(), SOON)
    assert server.received == len(GET) + len(b"more and more")


async def test_a_drip_comes_in_pieces() -> None:
    """The pieces are sent apart, so a client that reads at once sees a part."""
    script = (ReadRequest(), Drip(b"abcdef", size=2, pause=0.02), Close())
    async with FaultServer(script) as server, connected(server) as (reader, writer):
        writer.write(GET)
        assert await reader.read(100) == b"ab"
        assert await reader.read() == b"cdef"


async def test_a_pause_ends_by_itself() -> None:
    """The script goes on after it."""
    async with FaultServer((ReadRequest(), Pause(0.005), Send(b"x"), Close())) as server:
        assert await said(server) == b"x"


async def test_a_stall_lasts_until_the_client_leaves() -> None:
    """Nothing comes; the server sees the client go without being told."""
    async with FaultServer((ReadRequest(), Stall(), Send(b"never"))) as server:
        async with connected(server) as (reader, writer):
            writer.write(GET)
            await asyncio.wait_for(server.arrived(), SOON)
            assert server.connections.open == 1
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.02)
        await asyncio.wait_for(server.all_closed(), SOON)


async def test_a_deaf_stall_makes_the_client_wait() -> None:
    """Nothing is read, so a large request does not get through."""
    deaf = FaultServer((ReadHead(), Stall(reading=False)), receive_buffer=4096)
    async with deaf as server, connected(server) as (_reader, writer):
        writer.write(GET + bytes(16 * 1024 * 1024))
        await asyncio.wait_for(server.arrived(), SOON)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.05)


async def test_a_hold_waits_for_its_release() -> None:
    """``release`` lets the script go on, also when it comes before the script gets there."""
    script = (ReadRequest(), Send(b"a"), Hold(SOON), Send(b"b"), Close())
    async with FaultServer(script) as server, connected(server) as (reader, writer):
        writer.write(GET)
        assert await reader.read(10) == b"a"
        server.release()
        assert await reader.read() == b"b"
        assert await said(server) == b"ab"


async def test_a_hold_that_nobody_releases_ends() -> None:
    """It is a pause then."""
    async with FaultServer((ReadRequest(), Hold(0.01), Send(b"x"), Close())) as server:
        assert await said(server) == b"x"


async def test_steps_repeat() -> None:
    """As often as said, or until the client leaves."""
    async with FaultServer((ReadRequest(), Repeat((Send(b"ab"), Send(b"c")), times=2), Close())) as server:
        assert await said(server) == b"abcabc"
    async with FaultServer((ReadRequest(), Repeat((Send(b"x" * 4096),)))) as server:
        async with connected(server) as (reader, writer):
            writer.write(GET)
            assert len(await reader.readexactly(1_000_000)) == 1_000_000
        await asyncio.wait_for(server.all_closed(), SOON)


async def test_leaving_closes_everything() -> None:
    """Stalled connections and idle ones are closed, whether the client has left or not."""
    async with contextlib.AsyncExitStack() as clients:
        async with FaultServer((ReadRequest(), Stall())) as server:
            streams = [await clients.enter_async_context(connected(server)) for _ in range(20)]
            for _reader, writer in streams[:10]:
                writer.write(GET)
            await asyncio.wait_for(server.arrived(10), SOON)
            assert server.connections.open == 20
        for reader, _writer in streams:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), SOON) == b""
    assert server.connections.open == 0


async def test_a_mistake_in_a_script_is_raised_when_the_server_ends() -> None:
    """The client gets a reset; the mistake does not go unseen."""

    def choose(request: ReceivedRequest) -> Script:
        raise LookupError(request.path)

    async def asked() -> None:
        async with FaultServer(choose) as server:
            with pytest.raises(ConnectionResetError):
                await said(server)

    with pytest.raises(LookupError, match="/"):
        await asked()


async def test_tls_is_spoken_with_a_certificate_that_the_authoritys_clients_trust() -> None:
    """The address says https."""
    authority = Authority()
    async with FaultServer((ReadRequest(), Send(OK)), tls=authority.good()) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        async with connected(server, authority.client()) as (reader, writer):
            writer.write(GET)
            assert await reader.readexactly(len(OK)) == OK


@pytest.mark.parametrize(
    ("issue", "reason"),
    [
        (Authority.expired, "certificate has expired"),
        (Authority.wrong_host, "IP address mismatch"),
        (Authority.self_signed, "self-signed certificate|unable to get local issuer"),
        (Authority.stranger, "unable to get local issuer"),
    ],
)
async def test_a_bad_certificate_is_bad_for_its_own_reason(
    issue: Callable[[Authority], ssl.SSLContext], reason: str
) -> None:
    """A client that trusts the authority refuses it, and says why."""
    authority = Authority()
    async with FaultServer((ReadRequest(), Send(OK)), tls=issue(authority)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            async with connected(server, authority.client()):
                pass


async def test_a_bare_body_needs_no_end() -> None:
    """``chunked(end=False)`` and ``Fin`` make a cut answer, which the client reads to its last byte."""
    cut = chunked([b"half"], end=False)
    async with FaultServer((ReadRequest(), Send(cut), Fin(), Stall())) as server:
        assert await said(server) == cut
