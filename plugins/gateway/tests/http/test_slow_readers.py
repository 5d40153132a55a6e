"""A client that reads on is not cut, however long its answer takes; one that does not is, and holds little."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.http.sending import DRAIN_ABOVE, PIECE
from localagent_gateway.http.stalled_connections import LEAST_BYTES, LOOK_AT_READERS_SECONDS, SlowReaders

LIMIT = 60.0
LARGE = 30_000_000


class Loop:
    """A clock that is turned by hand, with at most one timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, look: Callable[[], None]) -> Loop:
        assert self.due is None
        self.due = look
        return self

    def cancel(self) -> None:
        self.due = None

    def turn(self) -> None:
        """Let the time of one look go by."""
        self.now += LOOK_AT_READERS_SECONDS
        look, self.due = self.due, None
        if look is not None:
            look()


class Reader:
    """A connection, its transport, and the client that takes some bytes a second."""

    def __init__(self, written: int, rate: int) -> None:
        self.written = self.left = written
        self.rate = rate
        self.cut = False

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.cut = True
        self.left = 0

    def read(self) -> None:
        self.left = max(0, self.left - self.rate)


@pytest.mark.parametrize(
    ("rate", "written", "cut"),
    [
        (0, 1_000_000, True),
        (0, 1, True),
        (1, 1_000_000, True),
        (100, 1_000_000, True),
        (1, 30, False),
        (LEAST_BYTES // 50, 1_000_000, False),
        (100_000, 30_000_000, False),
    ],
    ids=["none", "none of a byte", "a byte a second", "too few", "all of little", "steady", "fast"],
)
def test_who_takes_too_little_is_cut_and_who_reads_on_is_not(rate: int, written: int, cut: bool) -> None:
    """The time counts from the last progress, not from the writing; the least rate is 16 KiB in ``send_timeout``."""
    loop, reader = Loop(), Reader(written, rate)
    readers = SlowReaders(cast("asyncio.AbstractEventLoop", loop), LIMIT)
    readers.watch(cast("asyncio.Transport", reader), reader)
    readers.watch(cast("asyncio.Transport", reader), reader)
    turns = 0
    while loop.due is not None:
        reader.read()
        loop.turn()
        turns += 1
        assert turns < 5_000
    assert reader.cut is cut
    assert readers._marks == {}
    if cut:
        assert LIMIT <= turns * LOOK_AT_READERS_SECONDS <= LIMIT + 3


def test_more_that_is_written_is_no_progress() -> None:
    """A stream goes on while its client takes no part of it."""
    loop, reader = Loop(), Reader(1_000, 0)
    readers = SlowReaders(cast("asyncio.AbstractEventLoop", loop), LIMIT)
    readers.watch(cast("asyncio.Transport", reader), reader)
    while loop.due is not None:
        reader.written += 500
        reader.left += 0 if reader.cut else 500
        loop.turn()
    assert reader.cut
    assert loop.now <= LIMIT + 3


class Large(Plugin):
    """Adds a large answer, and a stream of large parts."""

    name = "large"

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        async def whole(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            return HttpResponse(200, bytes(LARGE))

        async def stream(incoming: HttpRequest, principal: Principal) -> HttpStream:
            return HttpStream(_Parts(), "text/plain")

        return [Route("GET", "/whole", whole, open=True), Route("GET", "/stream", stream, open=True)]


class _Parts:
    def __init__(self) -> None:
        self._left = 3

    async def read_chunk(self) -> bytes:
        self._left -= 1
        return bytes(LARGE // 2) if self._left >= 0 else b""

    async def aclose(self) -> None:
        """Nothing to end."""


@contextlib.contextmanager
def asking(url: str, path: str) -> Any:
    """Ask with a socket that takes little at a time."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect((host, int(port)))
        sock.setblocking(False)
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % path.encode())
        yield sock


@pytest.mark.parametrize(("path", "length"), [("/whole", LARGE), ("/stream", LARGE // 2 * 3)])
async def test_what_is_held_for_a_reader_is_bounded_and_comes_whole(serve: Any, path: str, length: int) -> None:
    """A piece or so waits in the transport, never the answer; the client takes it in its own time."""
    loop = asyncio.get_running_loop()
    async with serve(plugins=[Large]) as served:
        incoming = served.worker.server
        with asking(served.url, path) as sock:
            async with asyncio.timeout(60):
                while not incoming._readers._marks:  # noqa: ASYNC110 - told to nobody
                    await asyncio.sleep(0)
                received, most = 0, 0
                while part := await loop.sock_recv(sock, 1_000_000):
                    received += len(part)
                    most = max([most, *(transport.get_write_buffer_size() for transport in incoming._readers._marks)])
        assert received >= length
        assert 0 < most <= PIECE + DRAIN_ABOVE + 4096


@pytest.mark.parametrize("path", ["/whole", "/stream"])
async def test_a_client_that_stops_reading_is_cut(serve: Any, path: str) -> None:
    """In the midst of a large answer or a large part; the connection is gone afterwards."""
    async with serve(plugins=[Large], send_timeout=0.1) as served:
        with asking(served.url, path):
            async with asyncio.timeout(60):
                while not served.worker.server.connections:  # noqa: ASYNC110 - told to nobody
                    await asyncio.sleep(0)
                while served.worker.server.connections:  # noqa: ASYNC110 - told to nobody
                    await asyncio.sleep(0.01)
        assert served.worker.server._readers._marks == {}
