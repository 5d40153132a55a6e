"""The fake upstream: prepared answers, and streams whose next piece leaves when the one before has arrived.

It lives in the process of the load, on the core that the proxies do not use. A stream is paced by its reader, so every
piece passes through the proxy alone, no matter how slow it is, and no proxy gains by reading several at once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from answers import pieces
from loopback_server import content_length, whole_answer

PIECES = 20
_EVENTS = PIECES  # the first piece holds two events: some proxies wait for content before they answer
STALLED_SECONDS = 0.1  # some peers hold a piece back until the next one comes

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Asked(msgspec.Struct):
    stream: bool = False
    user: str = ""
    stream_options: msgspec.Raw = msgspec.Raw(b"")


_asked = msgspec.json.Decoder(_Asked).decode


@functools.cache
def stream_pieces() -> tuple[bytes, ...]:
    """Return the HTTP chunks of a stream; the first comes with the head, the last ends the body."""
    events = pieces(_EVENTS + 2, _EVENTS + 1)
    grouped = [events[0] + events[1], *events[2:PIECES], b"".join(events[PIECES:])]
    assert len(grouped) == PIECES
    chunks = [b"%x\r\n%b\r\n" % (len(one), one) for one in grouped]
    chunks[0] = HEAD + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    return tuple(chunks)


class Upstream:
    """Knows which streams are open.

    Attributes:
        hold: Whether streams stay open behind their first piece.
        open: The streams that are not at their end, by what the request's field ``user`` said.
    """

    def __init__(self) -> None:
        self.hold = False
        self.open: dict[str, Stream] = {}

    def arrived(self, user: str, events: int) -> None:
        """Hear how many events of a stream its reader has got."""
        stream = self.open.get(user)
        if stream is not None and not self.hold:
            stream.arrived(events)

    def begin(self, user: str, transport: asyncio.Transport) -> None:
        """Begin a stream."""
        self.open[user] = Stream(self, user, transport)


class Stream:
    """One stream on its way."""

    __slots__ = ("_sent", "_timer", "_transport", "_upstream", "_user")

    def __init__(self, upstream: Upstream, user: str, transport: asyncio.Transport) -> None:
        self._upstream = upstream
        self._user = user
        self._transport = transport
        self._sent = 0
        self._timer = asyncio.get_running_loop().call_later(STALLED_SECONDS, self._look, 0)
        self._send()

    def arrived(self, events: int) -> None:
        """Send the next piece when all that were sent have arrived; the first has two events."""
        if events > self._sent:
            self._send()

    def _send(self) -> None:
        chunks = stream_pieces()
        self._transport.write(chunks[self._sent])
        self._sent += 1
        if self._sent == len(chunks):
            self._timer.cancel()
            if self._upstream.open.get(self._user) is self:
                del self._upstream.open[self._user]

    def _look(self, sent: int) -> None:
        """Go on when nothing moved."""
        if self._transport.is_closing():
            return
        self._timer = asyncio.get_running_loop().call_later(STALLED_SECONDS, self._look, self._sent)
        if sent == self._sent and not self._upstream.hold:
            self._send()


class Connection(asyncio.Protocol):
    """One connection of a proxy."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, separator, rest = self._seen.partition(b"\r\n\r\n")
        length = content_length(head)
        if separator and len(rest) >= length:
            self._seen = rest[length:]
            self._answer(rest[:length])

    def _answer(self, body: bytes) -> None:
        asked = _asked(body) if body else _Asked()
        if asked.stream:
            self._upstream.begin(asked.user, self._transport)
        else:
            self._transport.write(whole_answer())


@asynccontextmanager
async def upstream() -> AsyncIterator[tuple[Upstream, int]]:
    """Serve in this event loop; gives the upstream and its port."""
    made = Upstream()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(made), "127.0.0.1", 0, backlog=2048)
    try:
        yield made, server.sockets[0].getsockname()[1]
    finally:
        server.close()
