"""The HTTP server by itself: what handlers give arrives as HTTP, whatever the client is and whenever it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from localagent import LocalAgentError
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream
from localagent_gateway import GatewaySettings
from localagent_gateway.apis.error_shapes import openai_error
from localagent_gateway.http.aiohttp_server import AiohttpServer
from localagent_gateway.http.body_reading import ReadBody
from localagent_gateway.http.origins import Origins
from localagent_gateway.http.sockets import bind
from localagent_gateway.logs.access_log import AccessLog

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CEILING = 10.0  # seconds; a generous one: what is looked at is what happens, not when
Handle = Callable[[HttpRequest], Awaitable[HttpResponse | HttpStream]]


class Pieces:
    """The body of a stream: pieces that are there, then whatever the test does."""

    def __init__(self, *pieces: bytes, reported: bool = False, endless: bool = False) -> None:
        self.pieces = list(pieces)
        self.endless = endless
        self.reported = reported
        self.given = 0
        self.closed = asyncio.Event()
        self.waiting = asyncio.Event()
        self.go = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self.reported and not self.pieces and not self.endless

    async def read_chunk(self) -> bytes:
        if self.pieces:
            self.given += len(self.pieces[0])
            return self.pieces[0] if self.endless else self.pieces.pop(0)
        if self.reported:
            return b""
        self.waiting.set()
        await self.go.wait()
        return b""

    async def aclose(self) -> None:
        self.closed.set()


class Handled:
    """Reads the body and has a test's handler answer; errors are OpenAI's."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle(self, incoming: HttpRequest, read: ReadBody) -> HttpResponse | HttpStream:
        try:
            incoming.body = await read()
        except LocalAgentError as error:
            return self.refuse(error, incoming)
        return await self._handle(incoming)

    def refuse(self, error: LocalAgentError, incoming: HttpRequest, *, plain: bool = False) -> HttpResponse:
        return openai_error(error, incoming)


class Running:
    """An HTTP server that serves.

    Attributes:
        server: The HTTP server.
        lines: Its access log.
    """

    def __init__(self, handle: Handle, **settings: Any) -> None:
        own = GatewaySettings(**{"port": 0, **settings})
        self.sockets = bind(own)
        self.lines: list[bytes] = []
        self.log = AccessLog("all", self.lines.append, time.time)
        self.server = AiohttpServer(Handled(handle), own, Origins(own), self.log)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection(*self.sockets[0].getsockname()[:2])

    async def ask(self, request: bytes) -> bytes:
        """Send bytes and return all that comes until the connection is closed from the other side."""
        reader, writer = await self.connect()
        writer.write(request)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return received

    def statuses(self) -> list[int]:
        """Return the statuses that were logged."""
        self.log.flush()
        return [json.loads(line)["status"] for batch in self.lines for line in batch.splitlines()]


@contextlib.asynccontextmanager
async def running(handle: Handle, **settings: Any) -> AsyncIterator[Running]:
    """Serve with a handler."""
    made = Running(handle, **settings)
    await made.server.listen(made.sockets)
    try:
        async with asyncio.timeout(CEILING):
            yield made
    finally:
        await made.server.aclose()
        made.log.flush()


def answers(answer: HttpResponse | HttpStream) -> Handle:
    """Return a handler that always answers the same."""

    async def handle(incoming: HttpRequest) -> HttpResponse | HttpStream:
        return answer

    return handle


def closing(request: bytes) -> bytes:
    """Have the connection closed behind the answer."""
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def parted(received: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """Return status line, headers and body."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = [line.decode().split(": ", 1) for line in lines]
    assert len({name for name, _ in headers}) == len(headers), "no header comes twice"
    return status, {name.lower(): value for name, value in headers}, body


async def left(writer: asyncio.StreamWriter) -> None:
    """Leave by a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_an_answer_has_length_date_and_id() -> None:
    """Type and headers are the handler's; the date is of now; the id is the one that the handler saw."""
    seen: list[str] = []

    async def handle(incoming: HttpRequest) -> HttpResponse:
        seen.append(incoming.id)
        return HttpResponse(201, b'{"a":1}', {"x-localagent-model": "a/b"})

    async with running(handle) as served:
        status, headers, body = parted(await served.ask(closing(GET)))
    assert (status, body) == (b"HTTP/1.1 201 Created", b'{"a":1}')
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == "7"
    assert headers["x-localagent-model"] == "a/b"
    assert [headers["x-request-id"]] == seen
    assert headers["connection"] == "close"
    assert abs(email.utils.parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < CEILING


async def test_every_request_has_an_id_of_its_own() -> None:
    """Also two on one connection, which is kept between them."""
    async with running(answers(HttpResponse(200, b"{}"))) as served:
        received = await served.ask(GET + closing(GET))
        assert served.statuses() == [200, 200]
    ids = [line for line in received.split(b"\r\n") if b"x-request-id" in line]
    assert len(set(ids)) == 2


async def test_head_has_the_head_of_get_and_no_body() -> None:
    """The length is the one that the body would have."""
    async with running(answers(HttpResponse(200, b"{}"))) as served:
        status, headers, body = parted(await served.ask(closing(GET.replace(b"GET", b"HEAD"))))
    assert (status, headers["content-length"], body) == (b"HTTP/1.1 200 OK", "2", b"")


async def test_head_of_a_stream_reads_nothing_of_it() -> None:
    """The stream is closed anyway."""
    pieces = Pieces(b"data: 1\n\n")
    async with running(answers(HttpStream(pieces, "text/event-stream"))) as served:
        _, _, body = parted(await served.ask(closing(GET.replace(b"GET", b"HEAD"))))
    assert (body, pieces.given, pieces.closed.is_set()) == (b"", 0, True)


async def test_an_answer_without_content_has_no_length() -> None:
    """204 ends behind its head (RFC 9110, section 8.6)."""
    async with running(answers(HttpResponse(204))) as served:
        status, headers, body = parted(await served.ask(closing(GET)))
    assert (status, "content-length" in headers, body) == (b"HTTP/1.1 204 No Content", False, b"")


async def test_an_unheard_of_status_has_no_reason() -> None:
    """A plugin may use any number."""
    async with running(answers(HttpResponse(599, b"{}"))) as served:
        status, _, _ = parted(await served.ask(closing(GET)))
    assert status == b"HTTP/1.1 599 "


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
async def test_no_header_begins_another(value: str) -> None:
    """What a header must not hold is answered by 500; none of it goes out."""
    async with running(answers(HttpResponse(200, b"{}", {"x-fact": value}))) as served:
        received = await served.ask(closing(GET))
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"x-fact" not in received
    assert b"evil" not in received


@pytest.mark.parametrize("reported", [False, True])
async def test_a_stream_is_chunked_to_its_end(reported: bool) -> None:
    """Whether its source tells its end with the last piece or behind it; then the connection serves on."""
    made: list[Pieces] = []

    async def handle(incoming: HttpRequest) -> HttpStream:
        made.append(Pieces(b"data: 1\n\n", b"data: 22\n\n", reported=reported))
        made[-1].go.set()
        return HttpStream(made[-1], "text/event-stream", {"cache-control": "no-cache"})

    async with running(handle) as served:
        received = await served.ask(GET + closing(GET))
        assert served.statuses() == [200, 200]
    assert received.count(b"\r\n\r\n9\r\ndata: 1\n\n\r\na\r\ndata: 22\n\n\r\n0\r\n\r\n") == 2
    _, headers, _ = parted(received)
    assert headers["transfer-encoding"] == "chunked"
    assert headers["cache-control"] == "no-cache"
    assert "content-length" not in headers
    assert all(pieces.closed.is_set() for pieces in made)


async def test_a_stream_of_nothing_is_an_empty_body() -> None:
    """Head and end go out."""
    pieces = Pieces(reported=True)
    async with running(answers(HttpStream(pieces, "text/event-stream"))) as served:
        _, _, body = parted(await served.ask(closing(GET)))
    assert body == b"0\r\n\r\n"


class Plain:
    """The least that the body of a stream can be."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def read_chunk(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def aclose(self) -> None:
        self.pieces.clear()


async def test_a_stream_need_not_tell_its_end_before() -> None:
    """A plugin's body that has no ``ended`` ends with its empty piece."""
    async with running(answers(HttpStream(Plain(b"one", b"two"), "text/plain"))) as served:
        _, _, body = parted(await served.ask(closing(GET)))
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_an_old_client_gets_a_stream_without_chunks() -> None:
    """HTTP/1.0 knows no chunks: the end of the connection is the end of the stream, also with keep-alive."""
    pieces = Pieces(b"data: 1\n\n", b"data: 22\n\n", reported=True)
    async with running(answers(HttpStream(pieces, "text/event-stream"))) as served:
        received = await served.ask(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n")
    status, headers, body = parted(received)
    assert (status, body) == (b"HTTP/1.0 200 OK", b"data: 1\n\ndata: 22\n\n")
    assert "transfer-encoding" not in headers
    assert headers.get("connection") != "keep-alive"


async def test_an_old_client_that_asks_for_it_keeps_its_connection() -> None:
    """The header says so, because HTTP/1.0 closes when nothing is said."""
    old = b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
    async with running(answers(HttpResponse(200, b"{}"))) as served:
        received = await served.ask(old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n") + old)
    first, second = received.split(b"{}")[:2]
    assert parted(first)[1]["connection"] == "keep-alive"
    assert "connection" not in parted(second)[1]


async def test_a_client_that_leaves_cancels_a_whole_answer() -> None:
    """Before any of it was written; the log has 499."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(incoming: HttpRequest) -> HttpResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return HttpResponse()

    async with running(handle) as served:
        _, writer = await served.connect()
        writer.write(GET)
        await begun.wait()
        await left(writer)
        await cancelled.wait()
        assert await served.server.wait_idle(CEILING)
        assert served.statuses() == [499]


async def leave_stream(served: Running, pieces: Pieces) -> None:
    """Ask for a stream, leave after its first piece, and check that its source is closed and the log says 499."""
    reader, writer = await served.connect()
    writer.write(GET)
    await reader.readuntil(b"data: 1\n\n")
    await pieces.waiting.wait()
    await left(writer)
    await pieces.closed.wait()
    assert await served.server.wait_idle(CEILING)
    assert served.statuses() == [499]


async def test_a_client_that_leaves_closes_the_stream() -> None:
    """While its source has nothing to say, so that no write could notice."""
    pieces = Pieces(b"data: 1\n\n")
    async with running(answers(HttpStream(pieces, "text/event-stream"))) as served:
        await leave_stream(served, pieces)


async def test_a_client_that_does_not_read_on_is_cut_and_costs_little() -> None:
    """An endless source is asked for what the sockets hold and no more; then the client is cut at ``send_timeout``."""
    pieces = Pieces(b"x" * 65536, endless=True)
    async with running(answers(HttpStream(pieces, "text/event-stream")), send_timeout=0.2) as served:
        with socket.create_connection(served.sockets[0].getsockname()[:2]) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            sock.sendall(GET)
            await pieces.closed.wait()
        assert await served.server.wait_idle(CEILING)
        assert served.statuses() == [499]
    assert pieces.given < 16 * 1024 * 1024


async def test_a_body_that_does_not_come_is_answered_with_408() -> None:
    """The connection is closed behind it; no handler hears of it."""
    async with running(answers(HttpResponse()), body_timeout=0.05) as served:
        request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
        status, headers, body = parted(await served.ask(request))
    assert status == b"HTTP/1.1 408 Request Timeout"
    assert headers["connection"] == "close"
    assert json.loads(body)["error"]["code"] == "request_timeout"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_arrives_whole(chunked: bool) -> None:
    """However it is cut, with a length or in chunks."""
    seen: list[bytes] = []

    async def handle(incoming: HttpRequest) -> HttpResponse:
        seen.append(incoming.body)
        return HttpResponse()

    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 6\r\n\r\n"
    body = b"2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n" if chunked else b"abcdef"
    async with running(handle) as served:
        await served.ask(head + body)
        reader, writer = await served.connect()
        for byte in head + body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert seen == [b"abcdef", b"abcdef"]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/v1/models", "/v1/models", {}),
        (b"/v1/a%20b", "/v1/a b", {}),
        (b"/v1?a=1&a=2&b=%26", "/v1", {"a": "2", "b": "&"}),
    ],
)
async def test_path_and_query_are_decoded(target: bytes, path: str, query: dict[str, str]) -> None:
    """The last value of a repeated name counts."""
    seen: list[tuple[str, dict[str, str]]] = []

    async def handle(incoming: HttpRequest) -> HttpResponse:
        seen.append((incoming.path, dict(incoming.query)))
        return HttpResponse()

    async with running(handle) as served:
        await served.ask(closing(GET.replace(b"GET /", b"GET " + target)))
    assert seen == [(path, query)]


async def test_connections_are_closed_behind_their_next_answer_when_the_end_was_asked_for() -> None:
    """Never unannounced: a client could be sending already. A stream that is under way ends whole."""
    pieces = Pieces(b"data: 1\n\n")

    async def handle(incoming: HttpRequest) -> HttpResponse | HttpStream:
        return HttpStream(pieces, "text/event-stream") if incoming.path == "/stream" else HttpResponse(200, b"{}")

    async with running(handle) as served:
        idle_reader, idle = await served.connect()
        idle.write(GET)
        await idle_reader.readuntil(b"{}")
        stream_reader, stream = await served.connect()
        stream.write(GET.replace(b"/ ", b"/stream ", 1))
        await stream_reader.readuntil(b"data: 1\n\n")
        served.server.stop_listening()
        pieces.go.set()
        await stream_reader.readuntil(b"0\r\n\r\n")
        for reader, writer in ((idle_reader, idle), (stream_reader, stream)):
            writer.write(GET)
            assert parted(await reader.read())[1]["connection"] == "close"
            writer.close()
            await writer.wait_closed()
        assert await served.server.wait_unconnected(CEILING)
