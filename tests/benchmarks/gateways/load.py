"""The load: kept connections that ask by hand-written bytes, and check what they are answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from answers import MESSAGES, PATH, TEXT, words

from gateways.processes import Proxy
from gateways.upstream import PIECES, Upstream

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
STREAM_TEXT = "".join(words(PIECES + 1))


class WrongAnswer(Exception):
    """An answer is not what the upstream sent."""


def request(proxy: Proxy, *, stream: bool = False, user: str = "") -> bytes:
    """Return the bytes of a request to a proxy."""
    fields: dict[str, object] = {"model": proxy.model, "messages": MESSAGES, "temperature": 0.5}
    if stream:
        fields |= {"stream": True, "user": user}
    body = _encode(fields)
    head = [
        f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{proxy.port}", f"Authorization: Bearer {proxy.key}", *proxy.headers,
        "Content-Type: application/json", "Accept: */*", f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Asker(asyncio.Protocol):
    """One kept connection.

    Args:
        upstream: Hears how far a stream has come.
        user: The connection's name, under which the upstream knows its streams.
    """

    def __init__(self, upstream: Upstream | None = None, user: str = "") -> None:
        self._upstream = upstream
        self.user = user
        self._loop = asyncio.get_running_loop()
        self._seen = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._end = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request; the result is the body of its answer."""
        self._answer = self._loop.create_future()
        if self.transport.is_closing():
            self._fail(WrongAnswer("the connection is closed"))
        self.transport.write(request)
        return self._answer

    async def begin(self, request: bytes) -> None:
        """Send a request whose answer does not have to end; return once its first event has arrived."""
        self._begun = self._loop.create_future()
        self.ask(request)
        await self._begun

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._end < 0:
            self._read_head()
        if self._end > 0 and len(self._seen) >= self._end:
            self._finish(self._seen[-self._length :])
        elif not self._end:
            self._read_chunks()

    def _read_head(self) -> None:
        head, found, _ = self._seen.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._fail(WrongAnswer(self._seen[:400]))
            self.transport.abort()  # nobody knows where the next answer begins
            return
        _, reported, rest = head.lower().partition(b"\r\ncontent-length:")
        self._length = int(rest.partition(b"\r\n")[0]) if reported else 0
        self._end = len(head) + 4 + self._length if reported else 0

    def _read_chunks(self) -> None:
        if self._seen.endswith(b"\r\n0\r\n\r\n"):
            self._finish(unchunked(self._seen.partition(b"\r\n\r\n")[2]))
            return
        events = self._seen.count(b"data: ")
        if self._begun is not None and events and not self._begun.done():
            self._begun.set_result(None)
        if self._upstream is not None:
            self._upstream.arrived(self.user, events)

    def _finish(self, body: bytes) -> None:
        answer, self._answer = self._answer, None
        self._seen, self._end = b"", -1
        if answer is not None and not answer.done():
            answer.set_result(body)

    def close(self) -> None:
        """Close the connection; what is under way is given up."""
        for future in (self._answer, self._begun):
            if future is not None:
                future.cancel()
        self.transport.abort()

    def _fail(self, error: Exception) -> None:
        for future in (self._answer, self._begun):
            if future is not None and not future.done():
                future.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(WrongAnswer("the connection was closed"))


def unchunked(data: bytes) -> bytes:
    """Return a body without its chunked transfer coding."""
    parts: list[bytes] = []
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(parts)
        parts.append(data[:length])
        data = data[length + 2 :]


def check_whole(body: bytes) -> None:
    """See that a whole answer holds the text that was sent."""
    if _decode(body)["choices"][0]["message"]["content"] != TEXT:
        raise WrongAnswer(body[:400])


def check_stream(body: bytes) -> None:
    """See that a stream holds the text that was sent, and its terminator."""
    *events, last = [event.strip().removeprefix(b"data: ") for event in body.strip().split(b"\n\n")]
    choices = [_decode(event)["choices"] for event in events]
    text = "".join(choice[0]["delta"].get("content") or "" for choice in choices if choice)
    if text != STREAM_TEXT or last != b"[DONE]":
        raise WrongAnswer(body[:400])


class Crowd:
    """Connections that ask at the same time, each one request after the other.

    Args:
        askers: The connections.
        proxy: Where they lead.
        stream: Whether they ask for streams.

    Attributes:
        seconds: How long the last requests took, each.
        errors: Requests that failed; the first of a connection ends what it does until it is asked again.
    """

    def __init__(self, askers: list[Asker], proxy: Proxy, *, stream: bool) -> None:
        self._askers = askers
        self._requests = [request(proxy, stream=stream, user=one.user) for one in askers]
        self._check = check_stream if stream else check_whole
        self.seconds: list[float] = []
        self.errors = 0

    async def ask(self, number: int) -> None:
        """Send about so many requests, the same number on each connection."""
        self.seconds = []
        each = -(-number // len(self._askers))
        if number:
            await asyncio.gather(*(self._ask(*pair, each) for pair in zip(self._askers, self._requests, strict=True)))

    async def begin(self) -> None:
        """Begin one stream on every connection."""
        await asyncio.gather(*(a.begin(r) for a, r in zip(self._askers, self._requests, strict=True)))

    async def _ask(self, asker: Asker, asked: bytes, number: int) -> None:
        for _ in range(number):
            begin = time.perf_counter()
            try:
                self._check(await asker.ask(asked))
            except WrongAnswer:
                self.errors += 1
                return
            self.seconds.append(time.perf_counter() - begin)


@asynccontextmanager
async def crowd(proxy: Proxy, upstream: Upstream, connections: int, *, stream: bool = False) -> AsyncIterator[Crowd]:
    """Open connections to a proxy at once.

    Raises:
        OSError: One was refused.
    """
    loop = asyncio.get_running_loop()
    made = [partial(Asker, upstream, f"{proxy.port}-{number}") for number in range(connections)]
    opening = [loop.create_connection(one, "127.0.0.1", proxy.port) for one in made]
    opened = await asyncio.gather(*opening)
    try:
        yield Crowd([asker for _, asker in opened], proxy, stream=stream)
    finally:
        for _, asker in opened:
            asker.close()
