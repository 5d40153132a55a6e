"""HTTP routes, and the requests and responses that a plugin that serves HTTP exchanges with its handlers.

They are plain records, independent of any web framework. One plugin serves them. Other plugins add routes and
authentication methods through its hooks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
import msgspec

from localagent.errors import LocalAgentError
from localagent.records.call import Principal


@attrs.define(eq=False)
class HttpRequest:
    """An HTTP request, with its body.

    Attributes:
        method: The method in upper case, such as ``POST``.
        path: The path without the query; percent escapes are decoded.
        query: The query parameters; the last value of each.
        raw_query: The query as it was sent, with repeated parameters.
        headers: The headers by name; names are in lower case.
        body: The body as it was sent.
        peer: The client's address; empty if unknown.
        id: A unique id for logs, errors and answers.
        params: The values of the route's ``{name}`` placeholders.
        local_page: Whether a web page of a program on this machine sent it, and the settings do not name that page.
    """

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    raw_query: str = attrs.field(default="", kw_only=True)
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    body: bytes = attrs.field(default=b"", kw_only=True)
    peer: str = attrs.field(default="", kw_only=True)
    id: str = attrs.field(default="", kw_only=True)
    params: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    local_page: bool = attrs.field(default=False, kw_only=True)


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete response.

    Attributes:
        status: The status code.
        body: The body.
        headers: Further headers, besides Content-Type and Content-Length.
        content_type: The media type of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class BodyStream(Protocol):
    """The body of a response that is sent in chunks.

    It may have an attribute ``ended`` that becomes true with the last chunk. The server then sends the end of the body
    together with that chunk.

    It may have an attribute ``failure``: the ``LocalAgentError`` that ended the body, for the server's log; None after
    a normal end.
    """

    async def read_chunk(self) -> bytes:
        """Return the next bytes, or b"" at the end. A failure is written into the bytes, never raised."""

    async def aclose(self) -> None:
        """Close the source, even if it has not been read to the end; idempotent."""


class HttpStream(msgspec.Struct, frozen=True):
    """A response whose body is sent as it arrives.

    Attributes:
        body: The body.
        content_type: The media type of the body.
        headers: Further headers.
    """

    body: BodyStream
    content_type: str
    headers: Mapping[str, str] = {}


Handler = Callable[[HttpRequest, Principal], Awaitable[HttpResponse | HttpStream]]
ErrorShape = Callable[[LocalAgentError, HttpRequest], HttpResponse]


@attrs.frozen
class Route:
    """A route of the HTTP server.

    Attributes:
        method: The method, such as ``POST``.
        path: The path; a trailing ``{name}`` matches the rest of the path, including slashes.
        handler: Handles the requests. It may raise only ``LocalAgentError``.
        errors: Formats its errors; None uses the format of the API to which the path belongs.
        open: Whether the route needs no API key.
        describe: The operation object for the OpenAPI document.
    """

    method: str
    path: str
    handler: Handler
    errors: ErrorShape | None = None
    open: bool = False
    describe: Mapping[str, Any] = attrs.field(factory=dict)
