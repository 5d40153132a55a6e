"""A bound: ``asyncio.Protocol`` and ``httptools`` on both sides, no task and no future for a request.

It parses the body, as the baseline does, and forwards it. It checks no key and has no time limit, no back-pressure and
no pipelining. Run as ``python -m gateways.protocols UPSTREAM LOOP``; see ``program``.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import msgspec
from answers import PATH

from gateways.program import BACKLOG, run, until_reported
from gateways.protocol_client import ProtocolClient

_decode = msgspec.json.Decoder().decode
_WHOLE = b"HTTP/1.1 %d \r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_STREAMED = b"HTTP/1.1 %d \r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Front(asyncio.Protocol):
    """One connection of a client; it receives what the upstream answers.

    Args:
        client: Forwards the requests.
    """

    def __init__(self, client: ProtocolClient) -> None:
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body = b""
        self._parts: list[bytes] = []
        self._streams = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    # what the parser calls for a request

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._path, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        """Take the path."""
        self._path += url

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """Forward the request."""
        if self._path != PATH.encode():
            self._refuse(404)
            return
        try:
            _decode(self._body)
        except msgspec.DecodeError:
            self._refuse(400)
        else:
            self._client.post(self._body, self)

    def _refuse(self, status: int) -> None:
        self._transport.write(_WHOLE % (status, 0))

    # what the client calls for the answer

    def head_arrived(self, status: int, length: int | None) -> None:
        """Write the head; in front of a body of known length it waits for the body."""
        self._streams = length is None
        if self._streams:
            self._transport.write(_STREAMED % status)
        else:
            self._parts = [_WHOLE % (status, length)]

    def piece(self, data: bytes) -> None:
        """Pass a part of a stream on; keep one of a body of known length."""
        if self._streams:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._parts.append(data)

    def ended(self) -> None:
        """Write the end of a stream, or the whole answer."""
        self._transport.write(b"0\r\n\r\n" if self._streams else b"".join(self._parts))

    def failed(self, error: Exception) -> None:
        """Let the client see that its answer was cut."""
        self._transport.abort()


async def serve(upstream: int) -> None:
    """Serve until the standard input closes."""
    client = ProtocolClient(upstream)
    server = await asyncio.get_running_loop().create_server(lambda: Front(client), "127.0.0.1", 0, backlog=BACKLOG)
    await until_reported(server.sockets[0].getsockname()[1])
    server.close()


if __name__ == "__main__":
    run(serve)
