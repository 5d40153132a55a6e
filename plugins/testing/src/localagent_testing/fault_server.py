"""A server that sends, byte for byte, what a script defines: the other end of every faulty connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from localagent_testing.connection import Connection, ReceivedRequest
from localagent_testing.steps import Read, Reset, Script
from localagent_testing.wire import Over, Wire

__all__ = ["Connections", "FaultServer", "ReceivedRequest", "Scripts"]

#: One script for every request; a list: the nth for the nth request; or a function of the request.
Scripts: TypeAlias = Script | list[Script] | Callable[[ReceivedRequest], Script]

HANDSHAKE_TIME = 2.0
GOODBYE_TIME = 0.5


@attrs.frozen
class Connections:
    """How many connections a server has seen.

    Attributes:
        accepted: Connections since the start (with TLS: with a completed handshake).
        open: How many of these are open now.
    """

    accepted: int
    open: int


class FaultServer:
    """An HTTP/1.1 server on 127.0.0.1 that follows scripts and records the requests.

    ::

        async with FaultServer((ReadRequest(), Send(answer(200, {"ok": True})))) as server:
            ...  # requests to server.url
            await server.all_closed()

    How a script is chosen:

    * A tuple of steps is used for every request.
    * From a list of scripts, the nth is used for the nth request of the whole server. A script that does not begin with
      a ``Read`` step starts as soon as a connection is open. Requests after the end of the list get a reset.
    * A function is called when a request was read completely; a ``Read`` step at the start of its script is skipped.

    Leaving the context closes every connection and ends every task. A mistake in a script (an exception other than the
    connection's end) is raised there.

    Args:
        scripts: The scripts, as described above.
        tls: The server's side of TLS, see ``localagent_testing.authority``; None for plain TCP.
        receive_buffer: Bytes from a client that the system buffers while the script does not read them; None for the
            system's default.

    Attributes:
        port: The port.
        requests: The requests so far, in the order of arrival.
    """

    def __init__(
        self, scripts: Scripts, *, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None
    ) -> None:
        self._scripts = list(scripts) if isinstance(scripts, list) else scripts
        self._tls = tls
        self._receive_buffer = receive_buffer
        self._tasks: dict[Wire, asyncio.Task[None]] = {}
        self._wires: list[Wire] = []
        self._open: set[Wire] = set()
        self._changed = asyncio.Event()
        self._released = asyncio.Event()
        self._mistakes: list[Exception] = []
        self.port = 0
        self.requests: list[ReceivedRequest] = []

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> Connections:
        """The current counts of connections."""
        return Connections(len(self._wires), len(self._open))

    @property
    def received(self) -> int:
        """Bytes received so far, read by a script or not."""
        return sum(wire.received for wire in self._wires)

    def release(self) -> None:
        """Let scripts continue that wait at a ``Hold``, now or later."""
        self._released.set()

    def hang_up(self) -> None:
        """End every open connection now: the client's sockets have the end of the stream before any turn of the loop.

        Bytes that still arrive are answered by a reset.
        """
        for wire in self._open:
            wire.hang_up()

    def speak(self, data: bytes) -> None:
        """Send bytes on every open connection now, requested or not."""
        for wire in self._open:
            wire.speak(data)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this server is true; it is checked whenever something happens."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def arrived(self, count: int = 1) -> None:
        """Wait until this many requests were read."""
        await self.until(lambda: len(self.requests) >= count)

    async def all_closed(self) -> None:
        """Wait until no connection is open."""
        await self.until(lambda: not self._open)

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        if self._receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        handshake, goodbye = (HANDSHAKE_TIME, GOODBYE_TIME) if self._tls else (None, None)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Wire(self._opened, self._closed),
            sock=listener,
            ssl=self._tls,
            ssl_handshake_timeout=handshake,
            ssl_shutdown_timeout=goodbye,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for wire in self._wires:
            wire.abort()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.all_closed()
        await self._server.wait_closed()
        if self._mistakes and error is None:
            raise self._mistakes[0]

    def _opened(self, wire: Wire) -> None:
        self._wires.append(wire)
        self._open.add(wire)
        connection = Connection(len(self._wires), wire, self._record, self._released)
        self._tasks[wire] = asyncio.get_running_loop().create_task(self._serve(connection))
        self._changed.set()

    def _closed(self, wire: Wire) -> None:
        self._open.discard(wire)
        self._changed.set()

    def _record(
        self, connection: int, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> ReceivedRequest:
        request = ReceivedRequest(len(self.requests) + 1, connection, method, path, headers, body)
        self.requests.append(request)
        self._changed.set()
        return request

    async def _serve(self, connection: Connection) -> None:
        try:
            if not self._begins_at_once():
                await connection.wire.arrival()
            while True:
                script = await self._choose(connection)
                await connection.perform(script)
                if not (script and isinstance(script[0], Read)) and not callable(self._scripts):
                    await connection.wire.drain()  # unread bytes must not look like the next request
                await connection.wire.arrival()
        except (Over, ConnectionError):
            await connection.wire.close()
        except Exception as mistake:  # in the script or in the function that chose it
            self._mistakes.append(mistake)
            connection.wire.reset()

    def _begins_at_once(self) -> bool:
        """Return whether the next script starts without a request."""
        if callable(self._scripts):
            return False
        script = self._scripts if isinstance(self._scripts, tuple) else next(iter(self._scripts), ())
        return bool(script) and not isinstance(script[0], Read)

    async def _choose(self, connection: Connection) -> Script:
        if isinstance(self._scripts, tuple):
            return self._scripts
        if isinstance(self._scripts, list):
            return self._scripts.pop(0) if self._scripts else (Reset(),)
        script = self._scripts(await connection.request())
        return script[1:] if script and isinstance(script[0], Read) else script
