"""The seam between providers and the network.

Providers do not see the HTTP client behind it, so that a plugin can bring a faster or a recorded one. One
contract for every transport: ``localagent_testing.TransportContract``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs
import msgspec

from localagent.errors import ResponseTooLarge
from localagent.structuring.fields import Bytes
from localagent.timing.phases import PhaseTimer

MIB = 1024 * 1024


@attrs.frozen
class SizeLimits:
    """How much of an answer is read, in bytes, before it is cut with ``ResponseTooLarge``.

    Attributes:
        body: A complete answer, decompressed, also one that comes where a stream was asked for.
        error: The body of an error; the rest is left unread.
        event: One event of a stream, and what may come of a stream before its first content.
        stream: All that comes of a stream, decompressed.
        models: A list of models, or whatever else a server reports about itself.
    """

    body: Bytes = 64 * MIB
    error: Bytes = 64 * 1024
    event: Bytes = 8 * MIB
    stream: Bytes = 128 * MIB
    models: Bytes = 4 * MIB


@attrs.frozen
class ConnectSettings:
    """What the settings of a provider say about exchanges with its instances, beyond the pool profile.

    Attributes:
        size_limits: Size limits of answers.
        authority: A PEM file with the certificate authorities to trust instead of the system's.
    """

    size_limits: SizeLimits = SizeLimits()
    authority: Path | None = None


class PoolStats(msgspec.Struct, frozen=True):
    """The connections to one instance: how many there are now, and what became of them since its transport opened.

    Attributes:
        active: Connections over which an answer is on its way.
        idle: Kept connections that wait for the next request.
        waiting: Requests that wait for a free connection.
        limit: The most connections at a time.
        opened: Connections that were made.
        handshakes: TLS handshakes that were made.
        reused: Requests that found a connection open.
        failed: Connections that could not be made.
        waited: Seconds that requests have waited for a free connection, all together.
    """

    active: int = 0
    idle: int = 0
    waiting: int = 0
    limit: int = 0
    opened: int = 0
    handshakes: int = 0
    reused: int = 0
    failed: int = 0
    waited: float = 0.0

    @property
    def utilisation(self) -> float:
        """The share of the connections' limit that is active, from 0 to 1."""
        return self.active / self.limit if self.limit else 0.0


class HttpAnswer(Protocol):
    """An answer whose head has come.

    Attributes:
        status: The status of the status line; nothing else is a status.
        headers: The headers; names compare without case.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end and the connection given back."""

    async def read(self, cap: int | None = None) -> bytes:
        """Return the rest of the body, decompressed, and give the connection back.

        Args:
            cap: Bytes after which reading stops; None means the transport's own cap, which raises.

        Raises:
            ResponseTooLarge: More than the transport's own cap came.
            UpstreamServerError: The connection broke.
            UpstreamProtocol: The framing or the compression is broken.
        """

    async def read_chunk(self) -> bytes:
        """Return the next bytes of the body, decompressed; ``b""`` at its end."""

    def abort(self) -> None:
        """Close the connection at once; idempotent, at any time, from any callback."""

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end, close it otherwise; idempotent."""


async def read_up_to(answer: HttpAnswer, cap: int, what: str) -> bytes:
    """Return the rest of a body that should be small; the connection is closed when it is not.

    Args:
        answer: The answer.
        cap: The most bytes, decompressed.
        what: What the body is, for the error.

    Raises:
        ResponseTooLarge: It is larger.
    """
    body = await answer.read(cap + 1)
    if len(body) > cap:
        raise ResponseTooLarge(f"{what} is larger than {cap} bytes.", phase="read")
    return body


@runtime_checkable
class Transport(Protocol):
    """Sends requests to one instance."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        """Send a request and return when the head of the answer has come.

        Redirects are not followed, proxy variables of the environment are not read.

        A kept connection is looked at before the first byte is written: when the server has closed it, or anything
        waits to be read from it, it is closed and another one is used. From the first byte on
        nothing is sent again, whatever the method: the server may have begun to work. When a kept connection
        breaks before an answer, the other kept ones to the same server are closed, too.

        Args:
            method: GET or POST.
            url: The whole address.
            headers: Headers, the key among them.
            body: The body, or None.
            phases: Told which phase begins: pool, connect, send, first_token. Where ``phases.fresh`` is true the
                request goes over a new connection.

        Raises:
            ConnectFailed: No connection, so nothing was sent.
            PoolTimeout: No free connection in time.
            UpstreamServerError: The connection broke after the request was sent. ``advice.billed`` is ``unknown``;
                ``advice.stale`` is true if the connection was a kept one and no byte of an answer came.
            UpstreamProtocol: What came back is not HTTP.
        """

    async def aclose(self) -> None:
        """Close all connections."""


@runtime_checkable
class Pooled(Protocol):
    """A transport that tells how its connections are used; what shows figures asks with ``isinstance``."""

    def stats(self) -> PoolStats:
        """Return the figures of this moment."""
