"""Asks a model server on this machine whether it is well; one GET, no client library."""

from __future__ import annotations

import asyncio

from localagent.supervision import Liveness


async def is_healthy(port: int, *, timeout: float = 2.0) -> bool:
    """Whether llama.cpp's ``/health`` answers 200 on a port of the loopback interface.

    Args:
        port: Where the server listens.
        timeout: Seconds after which no answer counts as no.
    """
    try:
        async with asyncio.timeout(timeout):
            return b" 200 " in await _status_line(port)
    except OSError:  # refused, reset, or the time-out
        return False


async def silence(port: int, liveness: Liveness) -> None:
    """Return when a server has not answered for so long that it counts as gone: it was stopped, or hangs.

    Args:
        port: Where the server listens.
        liveness: Says when that is.
    """
    pause = liveness.every
    while not liveness.gone:
        await asyncio.sleep(pause)
        pause = liveness.heard(await is_healthy(port, timeout=liveness.patience))


async def _status_line(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return await reader.readline()
    finally:
        writer.close()
