"""The control socket, through which other commands query a running gateway.

It is a Unix socket ``serve-PROCESS.sock`` in the gateway's folder in the state folder; only the user who runs the
gateway can open it. Each connection gets one report, as one line of JSON, and is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from localagent.errors import ConnectFailed
from localagent.supervision import report_failure

log = logging.getLogger("localagent.gateway")

PATTERN = "serve-*.sock"
ANSWER_SECONDS = 10.0
LONGEST_ANSWER = 64 * 1024 * 1024

Gather = Callable[[], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def control(
    folder: Path, urls: list[str], gather: Gather, not_kept: Callable[[Exception], None] | None = None
) -> AsyncIterator[None]:
    """Answer on the control socket while the context is open; if it cannot be created, warn and go on without it.

    Args:
        folder: The gateway's folder; created if it does not exist.
        urls: The addresses of the gateway.
        gather: Returns ``workers``, the statistics of the workers; ``silent``, the process ids of those that did not
            answer; and ``stats``, what all cores and plugins report, as from ``Stats.to_builtins``.
        not_kept: Called with the reason if there is no socket; None logs a warning.
    """
    path = folder / f"serve-{os.getpid()}.sock"
    try:
        sock = _bound(path)
    except OSError as error:
        if not_kept is not None:
            not_kept(error)
        else:
            log.warning("The control socket %s cannot be created: %s.", path, error.strerror or error)
        yield
        return
    answering: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_answer(writer, urls, gather), name="answer on the control socket")
        answering.add(task)
        task.add_done_callback(answering.discard)
        task.add_done_callback(report_failure(log))

    listener = await asyncio.start_unix_server(connected, sock=sock)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        listener.close()
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


def _bound(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)  # left by a killed process with the same id
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        path.chmod(0o600)  # before it listens: until then no process can connect
    except BaseException:
        sock.close()
        raise
    return sock


async def _answer(writer: asyncio.StreamWriter, urls: list[str], gather: Gather) -> None:
    try:
        status = {"process": os.getpid(), "urls": urls, **await gather()}
        writer.write(msgspec.json.encode(status) + b"\n")
        await writer.drain()
    except ConnectionError:  # the client has left
        return
    finally:
        writer.close()


async def serving_now(folder: Path) -> list[dict[str, Any]]:
    """Query every running gateway with this folder, and remove the sockets of killed ones.

    Args:
        folder: The gateway's folder.

    Returns:
        For each gateway: ``process``, ``urls``, ``workers`` as from ``worker_stats``, and ``silent``, the process ids
        of the workers that did not answer in time.
    """
    answers = await asyncio.gather(*(_asked(path) for path in _sockets(folder)))
    return [answer for answer in answers if answer is not None]


def nothing_serves() -> ConnectFailed:
    """Return the error for a query when no gateway is running."""
    return ConnectFailed("No gateway is running.", hint="Start one with: localagent serve")


def _sockets(folder: Path) -> list[Path]:
    return sorted(folder.glob(PATTERN))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _asked(path: Path) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_ANSWER)
            try:
                line = await reader.readline()
            finally:
                writer.close()
        return msgspec.json.decode(line, type=dict[str, Any]) if line else None
    except ConnectionRefusedError:
        _remove(path)
        return None
    except (OSError, ValueError, msgspec.MsgspecError):  # it is ending, is too slow, or sends an invalid report
        return None
