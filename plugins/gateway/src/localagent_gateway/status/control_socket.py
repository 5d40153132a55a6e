"""The control socket: through it other commands ask a gateway that serves how it stands.

A Unix socket ``serve-PROCESS.sock`` in the gateway's folder in the state folder; only the user who serves can open it.
A client that connects gets one line of JSON, and the connection is closed.
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
    """Answer on the control socket while the context is open; without one, where none can be made, after a warning.

    Args:
        folder: The gateway's folder; made if need be.
        urls: Where the gateway serves.
        gather: Returns how things stand: ``workers``, and ``silent``, the process ids of those that did not say so.
        not_kept: Is told why there is no socket; None warns in the log.
    """
    path = folder / f"serve-{os.getpid()}.sock"
    try:
        sock = _bound(path)
    except OSError as error:
        if not_kept is not None:
            not_kept(error)
        else:
            log.warning("There is no control socket: %s: %s.", path, error.strerror or error)
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
    path.unlink(missing_ok=True)  # of a process of that number that was killed
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        path.chmod(0o600)  # before it listens: until then nobody can connect
    except BaseException:
        sock.close()
        raise
    return sock


async def _answer(writer: asyncio.StreamWriter, urls: list[str], gather: Gather) -> None:
    try:
        reported = {"process": os.getpid(), "urls": urls, **await gather()}
        writer.write(msgspec.json.encode(reported) + b"\n")
        await writer.drain()
    except ConnectionError:  # the client has left
        return
    finally:
        writer.close()


async def serving_now(folder: Path) -> list[dict[str, Any]]:
    """Ask every gateway that serves from a folder; what a killed one left there is removed.

    Args:
        folder: The gateway's folder.

    Returns:
        For each: ``process``, ``urls``, ``workers`` as ``worker_stats`` has them, and ``silent``, the process ids of
        those that did not answer in time.
    """
    answers = await asyncio.gather(*(_asked(path) for path in _sockets(folder)))
    return [answer for answer in answers if answer is not None]


def nothing_serves() -> ConnectFailed:
    """Return the error for a question that nobody answers."""
    return ConnectFailed("No gateway serves now.", hint="Start one with: localagent serve")


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
    except (OSError, ValueError, msgspec.MsgspecError):  # it ends just now, is late, or says what nobody can read
        return None
