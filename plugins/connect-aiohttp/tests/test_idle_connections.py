"""Kept connections: which may still be used, and for how long."""

from __future__ import annotations

import asyncio
import socket

import pytest

from localagent_connect_aiohttp import is_stale, kept_for


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("timeout=5", 4.0),
        ("timeout=5, max=1000", 4.0),
        ("max=100, Timeout = 75", 74.0),
        ('timeout="20"', 19.0),
        ("timeout=1", 0.5),
        ("timeout=0", 0.0),
        ("max=100", None),
        ("timeout=soon", None),
        ("", None),
        ("mytimeout=5", None),
    ],
)
def test_a_second_less_than_the_server_says(header: str, seconds: float | None) -> None:
    """So that a request does not meet the server's closing; nothing where the header says nothing."""
    assert kept_for(header) == seconds


async def linked(ours: socket.socket) -> asyncio.Transport:
    """Return asyncio's connection over a socket; nothing reads from it but the event loop."""
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    return transport


@pytest.mark.parametrize("what", ["end", "reset", "bytes"])
async def test_what_the_loop_has_not_seen_is_seen(what: str) -> None:
    """The end of the stream, a reset, and bytes that nobody asked for, before the event loop has had a turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        transport = await linked(ours)
        assert not is_stale(transport)
        if what == "bytes":
            theirs.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        elif what == "reset":
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if what != "bytes":
            theirs.close()
        assert is_stale(transport)
        theirs.close()
        transport.abort()
        await asyncio.sleep(0)


async def test_what_was_closed_here_is_stale() -> None:
    """Also before the socket is closed, and when there is no socket."""
    ours, theirs = socket.socketpair()
    transport = await linked(ours)
    transport.close()
    assert is_stale(transport)
    assert is_stale(None)
    theirs.close()
    await asyncio.sleep(0)


async def test_descriptors_beyond_1024_can_be_asked() -> None:
    """``select`` could not; a gateway has as many."""
    resource = pytest.importorskip("resource")
    import fcntl

    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 2000:
        pytest.skip("the limit of descriptors is too low")
    ours, theirs = socket.socketpair()
    with theirs, socket.socket(fileno=fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 1500)) as high:
        ours.close()
        transport = await linked(high)
        assert not is_stale(transport)
        theirs.sendall(b"x")
        assert is_stale(transport)
        transport.abort()
        await asyncio.sleep(0)
