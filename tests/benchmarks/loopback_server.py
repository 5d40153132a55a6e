"""A fast server on the loopback that answers every POST with prepared bytes.

It runs in a process of its own, so that the CPU time of the client's process is the client's alone. A request whose
body asks for a stream gets 200 events; the first part of its path says in how many pieces (``/20/v1/...``). Between
two pieces the server rests, so that a client has done with one before the next comes: a client that reads several at
once does less work, and the slower one would gain by it.

Run as a program it prints its port and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from answers import EVENTS, pieces, whole_body

REST = 0.00025  # seconds behind a piece, and for each of its events
REST_AN_EVENT = 0.00005


@functools.cache
def whole_answer() -> bytes:
    """Return a complete HTTP answer."""
    body = whole_body()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@functools.cache
def streamed_answer(number: int) -> tuple[bytes, ...]:
    """Return an HTTP answer in chunked transfer coding, a chunk for every piece; the last one ends the body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(number)]
    chunks[0] = head + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    return tuple(chunks)


def content_length(head: bytes) -> int:
    """Return the length of the body that follows the head of a request."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


class Connection(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, separator, rest = self.seen.partition(b"\r\n\r\n")
        length = content_length(head)
        if separator and len(rest) >= length:
            self.seen = rest[length:]
            self.answer(head, rest[:length])

    def answer(self, head: bytes, body: bytes) -> None:
        if b'"stream":true' in body or b'"stream": true' in body:
            self.stream(int(head.split(b"/", 2)[1]))
        else:
            self.transport.write(whole_answer())

    def stream(self, number: int) -> None:
        """Send a stream; nobody else is served meanwhile, so that the pieces leave evenly."""
        chunks = streamed_answer(number)
        rest = REST + REST_AN_EVENT * EVENTS / len(chunks)
        for chunk in chunks:
            self.transport.write(chunk)
            time.sleep(rest)


async def serve() -> None:
    """Serve until the standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def serving() -> Iterator[str]:
    """Run the server in a process of its own; gives its address, without a path."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"


if __name__ == "__main__":
    asyncio.run(serve())
