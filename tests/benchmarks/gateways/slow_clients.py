"""Slow clients, as a process of their own: they trickle heads and bodies that never end, or say nothing.

Run as a program: ``python -m gateways.slow_clients PORT COUNT``. Its standard input says ``begin`` and ``end``. After
``begin`` it opens so many connections, and a new one for each that is cut; it answers ``begun`` when all are there.
After ``end`` it closes them and answers with how many were cut.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from answers import PATH

from gateways.processes import BENCHMARKS

DRIP_SECONDS = 0.1
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
WAYS = (
    (b"", b""),
    (b"GET /hea", b""),
    (HEAD + b"X-", b"a"),
    (HEAD + b"Content-Length: 999\r\n\r\n{", b""),
    (HEAD + b"Content-Length: 999\r\n\r\n{", b" "),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"),
)
"""What a client begins with, and what it trickles."""


class SlowClients:
    """Connections to one port.

    Args:
        port: The port.
        count: How many are open at a time.

    Attributes:
        cut: How many were cut since the beginning.
    """

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count = port, count
        self._loop = asyncio.get_running_loop()
        self._ways = itertools.cycle(WAYS)
        self._open: set[_SlowClient] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._wanted = False
        self.cut = 0

    async def begin(self) -> None:
        """Open all, spread over the time between two drips, so that they do not trickle in step."""
        self._wanted, self.cut = True, 0
        for _ in range(self._count):
            await self._connect()
            await asyncio.sleep(DRIP_SECONDS / self._count)

    async def end(self) -> None:
        """Close all."""
        self._wanted = False
        await asyncio.gather(*self._opening)
        for one in self._open:
            one.transport.abort()
        while self._open:
            await next(iter(self._open)).gone.wait()

    async def _connect(self) -> None:
        begin, trickle = next(self._ways)
        _, client = await self._loop.create_connection(
            lambda: _SlowClient(self, begin, trickle), "127.0.0.1", self._port
        )
        self._open.add(client)

    def left(self, client: _SlowClient) -> None:
        """Open another one for one that was cut."""
        self._open.discard(client)
        if self._wanted:
            self.cut += 1
            self._opening.add(task := self._loop.create_task(self._connect()))
            task.add_done_callback(self._opening.discard)


class _SlowClient(asyncio.Protocol):
    def __init__(self, clients: SlowClients, begin: bytes, trickle: bytes) -> None:
        self._clients, self._begin, self._trickle = clients, begin, trickle
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._begin)
        self._drip()

    def _drip(self) -> None:
        if self._trickle:
            self.transport.write(self._trickle)
            self._timer = self._loop.call_later(DRIP_SECONDS, self._drip)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.gone.set()
        self._clients.left(self)


class SlowProcess:
    """The process, seen from the one that measures."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self) -> None:
        """Return when all are connected."""
        await self._report(b"begin\n")

    async def end(self) -> int:
        """Return, when all are gone, how many were cut."""
        return int(await self._report(b"end\n"))

    async def _report(self, word: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word)
        answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("The slow clients' process ended.")
        return answer


@asynccontextmanager
async def slow_clients(port: int, count: int) -> AsyncIterator[SlowProcess]:
    """Run the process on the core of the calling process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateways.slow_clients", str(port), str(count), cwd=BENCHMARKS,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield SlowProcess(process)
    finally:
        await process.communicate()  # its standard input closes


async def main() -> None:
    """Do what the standard input says until it closes."""
    port, count = map(int, sys.argv[1:])
    clients, loop = SlowClients(port, count), asyncio.get_running_loop()
    while word := await loop.run_in_executor(None, sys.stdin.readline):
        if word == "begin\n":
            await clients.begin()
            print("begun", flush=True)
        else:
            await clients.end()
            print(clients.cut, flush=True)
    await clients.end()


if __name__ == "__main__":
    asyncio.run(main())
