"""What aiohttp's server does with bytes that are no good HTTP, told our way: in JSON, at once, and with nothing logged.

aiohttp logs each such request with the bytes that it did not like, which may be a key, and it leaves whoever waits for
the rest of a broken body waiting.
"""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

from localagent import FrontRequest, InternalError, InvalidRequest, LocalAgentError
from localagent_gateway.openai.errors import openai_error

log = logging.getLogger("localagent.gateway")


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

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what could not be read, or to a defect of the server; the connection is closed.

        Raises:
            ConnectionError: The client has left, or has a part of an answer already.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        error: LocalAgentError = InvalidRequest("This is no well-formed HTTP request.", code="malformed_request")
        if status >= 500:
            log.error("A request failed in the server: %s.", type(exc).__name__)
            error = InternalError("The gateway failed.")
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has begun.")
        answer = openai_error(error, FrontRequest(request.method, request.path))
        response = web.Response(status=status, body=answer.body, content_type=answer.content_type)
        response.force_close()
        return response
