"""A server that is far away: a proxy on the loopback interface that forwards every byte later, and in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Distance:
    """A proxy.

    Attributes:
        port: Where it listens.
        one_way: Seconds from one side to the other; may be changed at any time.
        connections: How many it has accepted.
    """

    def __init__(self, to: int, one_way: float) -> None:
        self.port = 0
        self.one_way = one_way
        self.connections = 0
        self._to = to
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self._writers.add(writer)
        self._begin(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin later: the network of the loopback interface does not delay the opening of a connection."""
        await asyncio.sleep(2 * self.one_way)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            self._begin(self._forward(source, target))

    def _begin(self, work: object) -> None:
        task = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._begin(_deliver(under_way, target))
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                under_way.put_nowait((loop.time() + self.one_way, data))
        under_way.put_nowait((loop.time() + self.one_way, b""))

    async def aclose(self) -> None:
        """End all that is under way."""
        for writer in self._writers:
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver(under_way: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter) -> None:
    while True:
        due, data = await under_way.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if not data:
            target.close()
            return
        target.write(data)


@contextlib.asynccontextmanager
async def distant(port: int, round_trip: float) -> AsyncIterator[Distance]:
    """Put a distance before the server at a port: so many seconds for a question and its answer."""
    proxy = Distance(port, round_trip / 2)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()
        await proxy.aclose()


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[int]:
    """Run a server that accepts and never answers; yield its port."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError):
            await reader.read()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
