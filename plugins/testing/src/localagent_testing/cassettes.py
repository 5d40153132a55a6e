"""Cassettes: files with the exchanges of a real transport, to be replayed without a network.

::

    async with recording(real_transport, Path("chat.json")) as transport: ...    # writes the file
    transport = replay(Path("chat.json"))                                        # answers from it

A cassette is JSON that can be read and edited by hand. Headers and query fields whose names suggest secrets
(``Authorization``, ``X-Api-Key``, ``Set-Cookie``) are written as ``***``; bodies are written as they are.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs
import msgspec

from localagent import HttpAnswer, LocalAgentError, Transport, errors
from localagent.records import SizeLimits
from localagent.settings import names_secret
from localagent.timing import PhaseTimer
from localagent_testing.recorded import Exchange, RecordedTransport, SentRequest

__all__ = ["Recorder", "recording", "replay"]

HIDDEN = "***"


def replay(path: Path, size_limits: SizeLimits | None = None) -> RecordedTransport:
    """Return a transport that answers from a cassette.

    Args:
        path: The file.
        size_limits: Size limits of answers.
    """
    return RecordedTransport(
        [_exchange(item) for item in msgspec.json.decode(path.read_bytes())["exchanges"]], size_limits
    )


@asynccontextmanager
async def recording(inner: Transport, path: Path) -> AsyncIterator[Recorder]:
    """Record the exchanges of a transport, and write the cassette at the end; the transport is not closed.

    Args:
        inner: The transport that sends.
        path: The file; an existing one is replaced.
    """
    recorder = Recorder(inner)
    try:
        yield recorder
    finally:
        recorder.save(path)


class Recorder:
    """Sends through another transport and records the exchanges; see the module.

    Args:
        inner: The transport that sends.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._tapes: list[_Tape] = []

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges that were recorded so far."""
        return [tape.exchange() for tape in self._tapes]

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        """Send a request through the inner transport."""
        tape = _Tape(SentRequest(method, _without_secrets(url), _shown(headers), body))
        self._tapes.append(tape)
        try:
            answer = await self._inner.send(method, url, headers, body, phases)
        except LocalAgentError as error:
            tape.failure = error
            raise
        tape.status, tape.headers = answer.status, _shown(answer.headers)
        return _RecordedAs(answer, tape)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    def save(self, path: Path) -> None:
        """Write the cassette."""
        document = {"version": 1, "exchanges": [_document(exchange) for exchange in self.exchanges]}
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


@attrs.define
class _Tape:
    """One exchange while it is being recorded."""

    request: SentRequest
    status: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)
    parts: list[bytes] = attrs.field(factory=list)
    failure: LocalAgentError | None = None
    cut: LocalAgentError | None = None

    def exchange(self) -> Exchange:
        return Exchange(self.status, self.headers, tuple(self.parts), self.failure, self.cut, self.request)


class _RecordedAs:
    """An answer that records its parts on a tape."""

    def __init__(self, inner: HttpAnswer, tape: _Tape) -> None:
        self._inner = inner
        self._tape = tape
        self.status = inner.status
        self.headers = inner.headers

    @property
    def ended(self) -> bool:
        return self._inner.ended

    async def read_chunk(self) -> bytes:
        return await self._keep(self._inner.read_chunk())

    async def read(self, cap: int | None = None) -> bytes:
        return await self._keep(self._inner.read(cap))

    async def _keep(self, coming: Awaitable[bytes]) -> bytes:
        try:
            data = await coming
        except LocalAgentError as error:
            self._tape.cut = error
            raise
        if data:
            self._tape.parts.append(data)
        return data

    def abort(self) -> None:
        self._inner.abort()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: HIDDEN if names_secret(name) else value for name, value in headers.items()}


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    fields = [(name, HIDDEN if names_secret(name) else value) for name, value in parse_qsl(parts.query)]
    return urlunsplit(parts._replace(query=urlencode(fields, safe="*"))) if parts.query else url


def _document(exchange: Exchange) -> dict[str, Any]:
    request = exchange.request
    assert request is not None
    return {
        "request": {
            "method": request.method,
            "url": request.url,
            "headers": dict(request.headers),
            "body": _as_text(request.body),
        },
        "status": exchange.status,
        "headers": dict(exchange.headers),
        "parts": [_as_text(part) for part in exchange.parts],
        "failure": _as_document(exchange.failure),
        "cut": _as_document(exchange.cut),
    }


def _exchange(document: Mapping[str, Any]) -> Exchange:
    asked = document["request"]
    return Exchange(
        status=document["status"],
        headers=document["headers"],
        parts=tuple(_as_bytes(part) or b"" for part in document["parts"]),
        failure=_as_error(document["failure"]),
        cut=_as_error(document["cut"]),
        request=SentRequest(asked["method"], asked["url"], asked["headers"], _as_bytes(asked["body"])),
    )


def _as_text(data: bytes | None) -> str | dict[str, str] | None:
    """Return bytes as text if they are text, so that cassettes are readable; else as base64."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _as_bytes(text: str | Mapping[str, str] | None) -> bytes | None:
    if text is None:
        return None
    return text.encode() if isinstance(text, str) else base64.b64decode(text["base64"])


def _as_document(error: LocalAgentError | None) -> dict[str, Any] | None:
    return None if error is None else {"type": type(error).__name__, "message": error.message, "phase": error.phase}


def _as_error(document: Mapping[str, Any] | None) -> LocalAgentError | None:
    if document is None:
        return None
    kind: type[LocalAgentError] = getattr(errors, document["type"])
    return kind(document["message"], phase=document["phase"])
