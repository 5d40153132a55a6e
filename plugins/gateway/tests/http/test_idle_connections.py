"""A kept connection is closed once it was idle for too long, and not over bytes that have arrived."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from localagent_testing import fake_provider_plugin

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
IDLE = 0.05


async def connected(url: str) -> socket.socket:
    """Return a socket that is connected to a gateway."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    return sock


def busy_until(when: float) -> None:
    """Hold the event loop up, as work does on a machine that has too much of it."""
    loop = asyncio.get_running_loop()
    while loop.time() <= when:
        pass


@pytest.mark.parametrize("sent", [GET, GET[:9]], ids=["whole", "part"])
async def test_a_request_that_arrived_in_time_is_not_cut_by_a_late_look(serve: Any, sent: bytes) -> None:
    """It arrives in the turn in which the time is up, and before that is looked at: a whole one is answered."""
    loop = asyncio.get_running_loop()
    async with serve(plugins=[fake_provider_plugin()], header_timeout=IDLE) as served:
        with await connected(served.url) as sock:
            before = loop.time()
            await loop.sock_sendall(sock, GET)
            assert (await loop.sock_recv(sock, 65536)).startswith(b"HTTP/1.1 200")
            loop.call_at(before + IDLE, sock.send, sent)  # before the server's own look, and in the same turn
            loop.call_soon(busy_until, loop.time() + IDLE)
            if sent == GET:
                assert (await loop.sock_recv(sock, 65536)).startswith(b"HTTP/1.1 200")
            assert await rest(sock) == b""


async def rest(sock: socket.socket) -> bytes:
    """Return what a connection brings until it is closed, or reset with bytes unread."""
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 65536)
    except ConnectionResetError:
        return b""
