"""A model server that attacks its clients; the model's name says how. It runs in a thread, in its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator

ANSWER = (
    b'{"id": "1", "choices": [{"index": 0, "finish_reason": "stop", '
    b'"message": {"role": "assistant", "content": "%b"}}]}'
)
BLOCK = b"a" * 65536
ENDLESS_BYTES = BOMB_BYTES = 600_000_000
LARGE_BYTES = 30_000_000

Writer = asyncio.StreamWriter
Kind = Callable[[Writer], Awaitable[None]]


def _head(length: int | None, more: bytes = b"") -> bytes:
    framing = b"Connection: close" if length is None else b"Content-Length: %d" % length
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%b\r\n%b\r\n" % (framing, more)


async def _whole(writer: Writer, answer: bytes = ANSWER % b"Hello.", more: bytes = b"") -> None:
    writer.write(_head(len(answer), more) + answer)
    await writer.drain()


async def _large(writer: Writer) -> None:
    await _whole(writer, ANSWER % (b"a" * LARGE_BYTES))


async def _endless(writer: Writer) -> None:
    """Whole JSON, whose text does not end before it is far beyond every limit."""
    writer.write(_head(None) + ANSWER.partition(b"%b")[0])
    for _ in range(ENDLESS_BYTES // len(BLOCK)):
        writer.write(BLOCK)
        await writer.drain()
    raise ConnectionAbortedError


async def _bomb(writer: Writer) -> None:
    await _whole(writer, _bombs()[0], b"Content-Encoding: gzip\r\n")


async def _never(writer: Writer) -> None:
    await asyncio.Event().wait()


_BOMB: list[bytes] = []


def _bombs() -> list[bytes]:
    if not _BOMB:
        before, _, behind = ANSWER.partition(b"%b")
        packing = zlib.compressobj(1, wbits=31)  # one member of gzip
        parts = [packing.compress(before)]
        parts += [packing.compress(BLOCK) for _ in range(BOMB_BYTES // len(BLOCK))]
        _BOMB.append(b"".join([*parts, packing.compress(behind), packing.flush()]))
    return _BOMB


KINDS: dict[str, Kind] = {"m": _whole, "large": _large, "endless": _endless, "bomb": _bomb, "never": _never}


async def _connection(reader: asyncio.StreamReader, writer: Writer) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            if head.startswith(b"get"):
                await _whole(writer, json.dumps({"object": "list", "data": [{"id": "m"}]}).encode())
                continue
            name = json.loads(body).get("model", "m")
            await KINDS.get(name, _whole)(writer)
    writer.close()


@contextlib.contextmanager
def evil_upstream() -> Iterator[str]:
    """Run it on a free port of the loopback interface; gives its base address."""
    started, loop, url = threading.Event(), asyncio.new_event_loop(), ""

    async def run(ended: asyncio.Event) -> None:
        nonlocal url
        server = await asyncio.start_server(_connection, "127.0.0.1", 0, limit=2**20)
        url = "http://{}:{}/v1".format(*server.sockets[0].getsockname())
        started.set()
        await ended.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(ended),), name="evil upstream")
    thread.start()
    started.wait()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
