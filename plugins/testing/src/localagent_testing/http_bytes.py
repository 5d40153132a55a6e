"""Exact HTTP/1.1 bytes, right or wrong, for the scripts of a ``FaultServer``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.client import responses
from typing import Any, TypeAlias

import msgspec

Body: TypeAlias = bytes | str | dict[str, Any] | list[Any]
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

JSON = "application/json"
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"

MIB = 1024 * 1024


def encoded(body: Body) -> bytes:
    """Return bytes unchanged, text as UTF-8, and anything else as JSON."""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def head(status: int = 200, headers: Headers = ()) -> bytes:
    """Return a status line and headers with the blank line after them; no header is added.

    Args:
        status: The status; one without a registered reason gets ``Unknown``.
        headers: Names and values, encoded as Latin-1; a sequence of pairs may repeat names.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    reason = responses.get(status, "Unknown")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def answer(
    status: int = 200,
    body: Body = b"",
    headers: Headers = (),
    *,
    content_type: str | None = JSON,
    content_length: bool | int = True,
) -> bytes:
    """Return a complete answer.

    Args:
        status: The status.
        body: The body; see ``encoded``.
        headers: Headers after the content type and the length.
        content_type: The content type; None leaves the header out.
        content_length: True for the real length, False for no such header, a number for a wrong length.
    """
    data = encoded(body)
    pairs = [] if content_type is None else [("Content-Type", content_type)]
    if content_length is not False:
        pairs.append(("Content-Length", str(len(data) if content_length is True else content_length)))
    pairs += headers.items() if isinstance(headers, Mapping) else headers
    return head(status, pairs) + data


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(pieces: Iterable[bytes], *, end: bool = True) -> bytes:
    """Return a chunked body, one chunk per piece; ``end=False`` omits the last, empty chunk."""
    return b"".join(map(chunk, pieces)) + (b"0\r\n\r\n" if end else b"")


def sse(events: Iterable[Body]) -> bytes:
    """Return server-sent events, each with one ``data`` line."""
    return b"".join(b"data: %b\n\n" % encoded(event) for event in events)


def ndjson(objects: Iterable[Body]) -> bytes:
    """Return one JSON document per line."""
    return b"".join(encoded(item) + b"\n" for item in objects)
