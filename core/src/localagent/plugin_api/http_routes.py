"""HTTP routes: the requests and responses that pass between a plugin that serves HTTP and its handlers.

They are plain records that know no web framework. One plugin serves them; others add routes and ways to
authenticate through its hooks.
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
    """A request that came in, body included.

    Attributes:
        method: Such as ``POST``; upper case.
        path: Without the query; percent escapes are decoded.
        query: The query's parameters; the last value of each.
        raw_query: The query as it was sent, repeated parameters included.
        headers: By name; asked for in lower case.
        body: The body as it was sent.
        peer: The address of the client; empty when unknown.
        id: Unique id, in logs, errors and answers.
        params: The values of the route's ``{name}``.
        local_page: Whether it comes from a web page of a program on this machine that the settings do not name.
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
        status: The status.
        body: The body.
        headers: Headers in addition to the content's type and length.
        content_type: The body's media type.
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
    a good end.
    """

    async def read_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end. A failure is written into the bytes and never raised."""

    async def aclose(self) -> None:
        """End the source, read to the end or not; idempotent."""


class HttpStream(msgspec.Struct, frozen=True):
    """A response that is sent as its body arrives.

    Attributes:
        body: The body.
        content_type: Its media type.
        headers: Further headers.
    """

    body: BodyStream
    content_type: str
    headers: Mapping[str, str] = {}


Handler = Callable[[HttpRequest, Principal], Awaitable[HttpResponse | HttpStream]]
ErrorShape = Callable[[LocalAgentError, HttpRequest], HttpResponse]


@attrs.frozen
class Route:
    """One thing that is served.

    Attributes:
        method: Such as ``POST``.
        path: The path; a last ``{name}`` takes all that is left of it, slashes included.
        handler: Answers. It raises ``LocalAgentError`` and nothing else.
        errors: The shape of its errors; None for that of the API to which its path belongs.
        open: Whether it answers without a key.
        describe: Its operation object in the OpenAPI document.
    """

    method: str
    path: str
    handler: Handler
    errors: ErrorShape | None = None
    open: bool = False
    describe: Mapping[str, Any] = attrs.field(factory=dict)
