"""Asks ``/healthz`` again and again, on a new connection each time, from a process of its own.

Run as ``python probe.py HOST PORT`` until standard input ends; then it prints how often it asked, how often it got no
200, and the worst time of an answer in milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import attrs

PAUSE_SECONDS = 0.01
PATIENCE_SECONDS = 30.0
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@attrs.define
class Health:
    """How a gateway answered.

    Attributes:
        asked: Requests.
        failed: Those that got no 200.
        worst: Milliseconds of the slowest answer.
    """

    asked: int = 0
    failed: int = 0
    worst: float = 0.0


async def _ask(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(REQUEST)
            answer = await reader.read()
            writer.close()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def _probe(host: str, port: int) -> Health:
    health, loop = Health(), asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    print("ready", flush=True)
    while not ended.done():
        begun = loop.time()
        health.failed += not await _ask(host, port)
        health.worst = max(health.worst, (loop.time() - begun) * 1000)
        health.asked += 1
        await asyncio.sleep(PAUSE_SECONDS)
    return health


@contextlib.asynccontextmanager
async def probing(host: str, port: int) -> AsyncIterator[Health]:
    """Ask while the context is open; what it gives is filled at its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, host, str(port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    health = Health()
    try:
        await process.stdout.readline()
        yield health
    finally:
        reported, _ = await process.communicate(b"")
        asked, failed, worst = reported.split()
        health.asked, health.failed, health.worst = int(asked), int(failed), float(worst)


if __name__ == "__main__":
    seen = asyncio.run(_probe(sys.argv[1], int(sys.argv[2])))
    print(seen.asked, seen.failed, seen.worst)
