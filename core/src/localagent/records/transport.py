"""The interface between providers and the network.

Providers do not depend on the HTTP client, so that a plugin can bring a faster or a recorded one. Every transport is
tested with the same contract: ``localagent_testing.TransportContract``.
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
    """Size limits of answers in bytes; reading a larger one ends with ``ResponseTooLarge``.

    Attributes:
        body: A complete answer, decompressed, also one that is sent instead of a stream.
        error: The body of an error; the rest is not read.
        event: One event of a stream, and the bytes of a stream before its first content.
        stream: A whole stream, decompressed.
        models: A list of models, or other information that a server reports about itself.
    """

    body: Bytes = 64 * MIB
    error: Bytes = 64 * 1024
    event: Bytes = 8 * MIB
    stream: Bytes = 128 * MIB
    models: Bytes = 4 * MIB


@attrs.frozen
class ConnectSettings:
    """A provider's settings for exchanges with its instances, besides the pool profile.

    Attributes:
        size_limits: Size limits of answers.
        authority: A PEM file with the certificate authorities to trust instead of the system's, or None.
    """

    size_limits: SizeLimits = SizeLimits()
    authority: Path | None = None


class PoolStats(msgspec.Struct, frozen=True):
    """The connections to one instance: their present number, and counts since its transport was opened.

    Attributes:
        active: Connections in use for a request.
        idle: Kept connections that wait for the next request.
        waiting: Requests that wait for a free connection.
        limit: Maximum number of connections at a time.
        opened: Connections that were opened.
        handshakes: TLS handshakes that were completed.
        reused: Requests that were sent over a kept connection.
        failed: Connections that could not be opened.
        waited: Total seconds that requests have waited for a free connection.
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
        """The share of ``limit`` that is active, from 0 to 1."""
        return self.active / self.limit if self.limit else 0.0


class HttpAnswer(Protocol):
    """An answer whose head has arrived.

    Attributes:
        status: The status of the status line; no other number counts as the status.
        headers: The headers; names are case-insensitive.

    Since: 0.1.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end and the connection returned to the pool."""

    async def read(self, cap: int | None = None) -> bytes:
        """Return the rest of the body, decompressed, and return the connection to the pool.

        Args:
            cap: Bytes after which reading stops without an error; None means the transport's own limit, which raises.

        Raises:
            ResponseTooLarge: The body is larger than the transport's own limit.
            UpstreamServerError: The connection broke.
            UpstreamProtocol: The framing or the compression is broken.
        """

    async def read_chunk(self) -> bytes:
        """Return the next bytes of the body, decompressed; ``b""`` at its end."""

    def abort(self) -> None:
        """Close the connection at once; idempotent, may be called at any time and from any callback."""

    async def aclose(self) -> None:
        """Return the connection to the pool if the body was read to its end, else close it; idempotent."""


async def read_up_to(answer: HttpAnswer, cap: int, what: str) -> bytes:
    """Return the rest of a body that should be small; the connection is closed if it is not.

    Args:
        answer: The answer.
        cap: Maximum size in bytes, decompressed.
        what: A name of the body for the error; begins the sentence.

    Raises:
        ResponseTooLarge: The body is larger.
    """
    body = await answer.read(cap + 1)
    if len(body) > cap:
        raise ResponseTooLarge(f"{what} is larger than {cap} bytes.", phase="read")
    return body


@runtime_checkable
class Transport(Protocol):
    """Sends requests to one instance.

    Since: 0.1.
    """

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        """Send a request and return when the head of the answer has arrived.

        Redirects are not followed, and proxy variables of the environment are not read.

        A kept connection is checked before the first byte is written: if the server has closed it, or if bytes wait to
        be read from it, it is closed and another one is used. After the first byte nothing is sent again, whatever the
        method, because the server may have started to work. When a kept connection breaks before an answer, the other
        kept connections to the same server are closed, too.

        Args:
            method: GET or POST.
            url: The whole address.
            headers: The headers, including the key.
            body: The body, or None.
            phases: Is notified when a phase begins: pool, connect, send, first_token. If ``phases.fresh`` is true, the
                request is sent over a new connection.

        Raises:
            ConnectFailed: No connection could be made, so nothing was sent.
            PoolTimeout: No connection became free in time.
            UpstreamServerError: The connection broke after the request was sent. ``advice.billed`` is ``unknown``;
                ``advice.stale`` is true if the connection was a kept one and no byte of an answer came.
            UpstreamProtocol: The answer is not HTTP.
        """

    async def aclose(self) -> None:
        """Close all connections."""


@runtime_checkable
class Pooled(Protocol):
    """A transport that reports how its connections are used; checked with ``isinstance``."""

    def stats(self) -> PoolStats:
        """Return the current figures."""
