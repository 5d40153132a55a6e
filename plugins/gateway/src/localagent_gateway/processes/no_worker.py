"""Answers in the place of workers while none is alive and none can be started: clients are told so, and do not hang."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

LINGER_SECONDS = 2.0  # for a client to read the answer, whatever it still sends
BODY = b'{"error": {"message": "No worker can be started now.", "type": "server_error", "code": "no_worker"}}'
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class NoWorker:
    """Takes in connections while it is open.

    Args:
        sockets: Where the workers listen.
    """

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._listeners: list[asyncio.Server] = []
        self._opening = asyncio.Lock()

    async def switch(self, answers: bool) -> None:
        """Begin to answer, or stop."""
        async with self._opening:
            if answers and not self._listeners:
                loop = asyncio.get_running_loop()
                for sock in self._sockets:
                    self._listeners.append(await loop.create_server(_Refusal, sock=sock.dup()))
            elif not answers:
                for listener in self._listeners:
                    listener.close()
                self._listeners = []


class _Refusal(asyncio.Protocol):
    """Answers the first bytes of a connection, whatever they are, and closes it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._answered = False
        self._closing = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self._answered:
            self._answered = True
            self._transport.write(ANSWER)
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing.cancel()
