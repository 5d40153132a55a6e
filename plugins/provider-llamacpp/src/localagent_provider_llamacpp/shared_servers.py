"""Model servers that one process runs for several processes, which ask over a Unix socket for a server's endpoint.

A connection is about one server. It begins with one line of JSON, ``{"number": 0}``, which starts the server if it is
not running. The answer is one line for each change: ``{"endpoint": {...}}`` when the server is ready,
``{"endpoint": null}`` when it no longer is (it is being restarted), or ``{"error": {...}}``, the last line, when it
cannot be started. Requests go from each process directly to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from localagent import LocalAgentError
from localagent.supervision import report_failure
from localagent_provider_llamacpp.loading import Endpoint
from localagent_provider_llamacpp.supervisor import ModelServer

_log = logging.getLogger(__name__)


class SharedServers:
    """Model servers, and the socket that reports their endpoints; an async context manager.

    Args:
        servers: The servers; each starts when it is first requested.
        address: Path of the socket; only this user can open it, because the servers' keys are sent through it.
    """

    def __init__(self, servers: Sequence[ModelServer], address: Path) -> None:
        self.servers = servers
        self._address = address
        self._listener: asyncio.Server | None = None
        self._reporting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(str(self._address))
            self._address.chmod(0o600)  # before it listens, so that no other user can connect
            self._listener = await asyncio.start_unix_server(self._connected, sock=sock)
        except BaseException:
            sock.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._reporting:
            task.cancel()
        await asyncio.gather(*self._reporting, return_exceptions=True)
        await asyncio.gather(*(server.aclose() for server in self.servers))
        self._address.unlink(missing_ok=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="report a model server")
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)
        task.add_done_callback(report_failure(_log))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Report changes until the other side disconnects."""
        try:
            server = await self._asked_for(reader)
            if server is None:
                return
            reporting = asyncio.create_task(_report(server, writer), name="report changes")
            reporting.add_done_callback(report_failure(_log))
            leaving = asyncio.create_task(reader.read(), name="wait for the end")
            try:
                await asyncio.wait({reporting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                reporting.cancel()
                leaving.cancel()
                await asyncio.gather(reporting, leaving, return_exceptions=True)
        except ConnectionError:  # the other side has left
            return
        finally:
            writer.close()

    async def _asked_for(self, reader: asyncio.StreamReader) -> ModelServer | None:
        """Return the server that the first line names; None if the line is not valid."""
        try:
            number: int = json.loads(await reader.readline())["number"]
            return self.servers[number]
        except (ValueError, LookupError, TypeError):
            return None


async def _report(server: ModelServer, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            endpoint = await server.ready()
            await _write(writer, {"endpoint": _as_document(endpoint)})
            await server.left(endpoint)
            await _write(writer, {"endpoint": None})
    except LocalAgentError as error:
        reported = {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "code": error.code}
        with contextlib.suppress(ConnectionError):
            await _write(writer, {"error": reported})
    except ConnectionError:  # the other side has left
        return


async def _write(writer: asyncio.StreamWriter, line: Any) -> None:
    writer.write(json.dumps(line).encode() + b"\n")
    await writer.drain()


def _as_document(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "key": endpoint.key.reveal(),
        "model": endpoint.model,
        "pid": endpoint.pid,
        "load_seconds": endpoint.load_seconds,
    }
