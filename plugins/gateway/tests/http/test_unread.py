"""A client that leaves is noticed while nothing is read from it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from localagent_gateway.http.stalled_connections import UnreadClients
from localagent_gateway.processes.worker import loop_factory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no poll: a leaving is noticed later there")

LATEST = 30.0
UNREAD = bytes(100_000)


class Unread(asyncio.Protocol):
    """A connection that is not read and is watched."""

    def __init__(self, clients: UnreadClients) -> None:
        self.clients = clients
        self.paused, self.lost = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.pause_reading()
        self.watched = self.clients.enter(self.transport)
        self.paused.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.clients.leave(self.watched)
        self.lost.set()


@pytest.fixture(scope="module", autouse=True)
def _the_pipe_of_libuv() -> None:
    """Let libuv open the pipe that it keeps for as long as the process lives; no test has left it behind."""
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop").new_event_loop().close()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def half(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


Leave = Callable[[socket.socket], None]
LEAVES = [socket.socket.close, reset, half]


async def watching(check: Callable[[UnreadClients, Unread, socket.socket, Unread], Awaitable[None]]) -> None:
    """Connect twice with bytes that are not read; check with the first connection, its client and the other one."""
    loop = asyncio.get_running_loop()
    clients = UnreadClients(loop)
    made: asyncio.Queue[Unread] = asyncio.Queue()

    def connection() -> Unread:
        made.put_nowait(one := Unread(clients))
        return one

    server = await loop.create_server(connection, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    with contextlib.ExitStack() as sockets:
        pairs = []
        for _ in range(2):
            client = sockets.enter_context(socket.create_connection(address))
            client.sendall(b"read")
            one = await made.get()
            await asyncio.wait_for(one.paused.wait(), LATEST)
            client.sendall(UNREAD)
            pairs.append((one, client))
        await check(clients, *pairs[0], pairs[1][0])
        for one, _ in pairs:
            one.transport.abort()
            await asyncio.wait_for(one.lost.wait(), LATEST)
    clients.close()
    server.close()
    await server.wait_closed()
    assert len(clients) == 0


def on(loop: str, check: Callable[[UnreadClients, Unread, socket.socket, Unread], Awaitable[None]]) -> None:
    """Run a check on an event loop."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(watching(check))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__)
def test_who_leaves_behind_bytes_that_are_not_read_is_noticed(loop: str, leave: Leave) -> None:
    """By closing, by a reset, by closing the sending side; nobody else's connection is touched."""

    async def check(clients: UnreadClients, one: Unread, client: socket.socket, other: Unread) -> None:
        leave(client)
        await asyncio.wait_for(one.lost.wait(), LATEST)
        assert (len(clients), other.lost.is_set()) == (1, False)

    on(loop, check)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_that_is_read_again_is_watched_no_longer(loop: str) -> None:
    """Its end is noticed by the reading; that of another one is still noticed."""

    async def check(clients: UnreadClients, one: Unread, client: socket.socket, other: Unread) -> None:
        clients.leave(other.watched)
        assert len(clients) == 1
        client.close()
        await asyncio.wait_for(one.lost.wait(), LATEST)
        assert (len(clients), clients._timer, other.lost.is_set()) == (0, None, False)

    on(loop, check)
