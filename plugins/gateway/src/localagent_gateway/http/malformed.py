"""What aiohttp does with bytes that are no good HTTP, told our way: in JSON, at once, and none of it is logged.

aiohttp logs each such request with the bytes that it did not like, which may be a key, and it leaves whoever waits for
the rest of a broken body waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

from localagent import FrontAnswer, FrontRequest, InvalidRequest
from localagent_gateway.apis.openai.errors import openai_error


def malformed(front: FrontRequest, status: int) -> FrontAnswer:
    """Return the answer to what is no HTTP request."""
    error = InvalidRequest("This is no well-formed HTTP request.", code="malformed_request")
    return msgspec.structs.replace(openai_error(error, front), status=status)


class Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what waits for a body that turns out to be broken is woken."""
        super().data_received(data)
        request = self._current_request
        if request is None or request.content.is_eof() or not self._messages:
            return
        if isinstance(self._messages[-1][0], _ErrInfo):
            request.content.set_exception(web.RequestPayloadError("The body is broken."))
            request.content.feed_eof()
            self.close()

    def _make_error_handler(self, err_info: _ErrInfo) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        malformed, status = self._manager.malformed, err_info.status  # type: ignore[union-attr]

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            return await malformed(request, status)  # type: ignore[no-any-return]

        return handler

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Close the connection: the client has left, or cannot be told; what failed is logged.

        Raises:
            ConnectionError: Always.
        """
        raise exc if isinstance(exc, ConnectionError) else ConnectionError("The client cannot be told.")
