"""Asks a model server on this machine whether it is well; one GET, no client library."""

from __future__ import annotations

import asyncio


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


async def _status_line(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return await reader.readline()
    finally:
        writer.close()
