"""A transport without a network: it answers from a script of exchanges and keeps the requests.

::

    transport = RecordedTransport([Exchange(parts=(b'{"choices": ', b"[]}"))])

``localagent_testing.cassettes`` records the exchanges of a real transport into a file, and replays them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

import attrs
from multidict import CIMultiDict

from localagent import LocalAgentError
from localagent.errors import ResponseTooLarge, UpstreamServerError
from localagent.records import SizeLimits
from localagent.timing import PhaseTimer

__all__ = ["Exchange", "RecordedAnswer", "RecordedTransport", "SentRequest"]

JSON_HEADERS = {"Content-Type": "application/json"}


@attrs.frozen
class SentRequest:
    """A request as it was passed to a transport.

    Attributes:
        method: The method.
        url: The whole address.
        headers: The headers.
        body: The body, or None.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Exchange:
    """The answer to one request.

    Attributes:
        status: The status.
        headers: The headers.
        parts: The body, in the pieces in which it is returned.
        failure: Raised instead of an answer.
        cut: Raised after the last part, instead of the body's end.
        request: The request for which this was recorded; None if it was written by hand.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=lambda: JSON_HEADERS)
    parts: tuple[bytes, ...] = ()
    failure: LocalAgentError | None = None
    cut: LocalAgentError | None = None
    request: SentRequest | None = None


class RecordedAnswer:
    """An answer whose parts come from an ``Exchange``; see ``localagent.records.transport.HttpAnswer``.

    Attributes:
        aborted: Whether it was aborted before its end.
    """

    __slots__ = ("_cut", "_parts", "_size_limits", "aborted", "ended", "headers", "status")

    def __init__(self, exchange: Exchange, size_limits: SizeLimits) -> None:
        self.status = exchange.status
        self.headers: Mapping[str, str] = CIMultiDict(exchange.headers)
        self.aborted = False
        self.ended = not exchange.parts and exchange.cut is None
        self._parts = filter(None, exchange.parts)  # an empty part would mean the end
        self._cut = exchange.cut
        self._size_limits = size_limits

    async def read_chunk(self) -> bytes:
        """Return the next part; ``b""`` at the end."""
        if self.aborted:
            raise UpstreamServerError("The connection was closed.", phase="read")
        part = next(self._parts, b"")
        if not part and self._cut is not None:
            self.abort()
            raise self._cut
        self.ended = self.ended or not part
        return part

    async def read(self, cap: int | None = None) -> bytes:
        """Return the rest of the body; see ``HttpAnswer.read``."""
        limit = self._size_limits.body if cap is None else cap
        body = b""
        while part := await self.read_chunk():
            body += part
            if len(body) > limit:
                self.abort()
                if cap is not None:
                    return body[:cap]
                raise ResponseTooLarge(f"The answer is larger than {limit} bytes.", phase="read")
        return body

    def abort(self) -> None:
        """End it at once."""
        self.aborted = self.aborted or not self.ended

    async def aclose(self) -> None:
        """End it."""
        self.abort()


class RecordedTransport:
    """Answers from a script; see ``localagent.records.transport.Transport``.

    Args:
        exchanges: The exchanges for the requests, in order, or a function of the request. The request for a recorded
            exchange must have the same method and path.
        size_limits: Size limits of answers.

    Attributes:
        sent: The requests so far.
        closed: Whether the transport was closed.
    """

    def __init__(
        self, exchanges: Iterable[Exchange] | Callable[[SentRequest], Exchange], size_limits: SizeLimits | None = None
    ) -> None:
        self._choose = exchanges if callable(exchanges) else None
        self._left = iter(()) if callable(exchanges) else iter(exchanges)
        self._size_limits = size_limits or SizeLimits()
        self.sent: list[SentRequest] = []
        self.closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> RecordedAnswer:
        """Record a request and answer it with the next exchange.

        Raises:
            AssertionError: No exchange is left, or the next one was recorded for another request.
            LocalAgentError: The exchange's ``failure``.
        """
        phases.enter("first_token")
        request = SentRequest(method, url, headers, body)
        self.sent.append(request)
        exchange = self._choose(request) if self._choose else next(self._left, None)
        if exchange is None:
            raise AssertionError(f"no exchange is left for request {len(self.sent)}: {method} {_path(url)}")
        if (known := exchange.request) is not None and (known.method, _path(known.url)) != (method, _path(url)):
            raise AssertionError(
                f"the recorded request is {known.method} {_path(known.url)}, but got {method} {_path(url)}"
            )
        if exchange.failure is not None:
            raise exchange.failure
        return RecordedAnswer(exchange, self._size_limits)

    async def aclose(self) -> None:
        """Record that the transport was closed."""
        self.closed = True


def _path(url: str) -> str:
    return urlsplit(url).path
