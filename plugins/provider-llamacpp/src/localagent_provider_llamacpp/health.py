"""Checks the health of a model server on this machine with one GET, without a client library."""

from __future__ import annotations

import asyncio

from localagent.supervision import Liveness


async def is_healthy(port: int, *, timeout: float = 2.0) -> bool:
    """Return whether llama.cpp's ``/health`` answers 200 on a port of the loopback interface.

    Args:
        port: The port of the server.
        timeout: Seconds after which a missing answer counts as unhealthy.
    """
    try:
        async with asyncio.timeout(timeout):
            return b" 200 " in await _status_line(port)
    except OSError:  # refused, reset, or timed out
        return False


async def silence(port: int, liveness: Liveness) -> None:
    """Return once a server has not answered for so long that it counts as gone: it was stopped, or hangs.

    Args:
        port: The port of the server.
        liveness: Decides when the server counts as gone.
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
