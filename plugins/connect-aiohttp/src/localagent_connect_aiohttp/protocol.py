"""aiohttp's client protocol, made strict about heads; a broken body never leaves its reader waiting."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, HttpProcessingError

from localagent_connect_aiohttp.framing import end_of_heads, is_odd


class MisframedError(aiohttp.ClientError):
    """The framing of a body is broken."""


class StrictProtocol(ResponseHandler):
    """Checks the bytes of an answer's head before aiohttp's lenient parser reads them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head: bytes | None = None  # the part of the awaited answer's head received so far

    def set_response_params(self, **params: object) -> None:
        """Prepare for an answer; see aiohttp's ``ResponseHandler``."""
        self._head = b""
        super().set_response_params(**params)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the parser, unless they belong to a head that breaks a rule."""
        if self._head is not None:
            error = self._look_at(self._head + data)
            if error is not None:
                if self.transport is not None:
                    self.transport.close()
                self.set_exception(error)
                return
        super().data_received(data)

    def _look_at(self, data: bytes) -> HttpProcessingError | None:
        """Return the error if the head breaks a rule."""
        if not data:
            return None
        if not data.startswith(b"H"):  # llhttp would accept RTSP, and skip empty lines
            self._head = None
            return BadStatusLine("no status line")
        end = end_of_heads(data)
        self._head = data if end < 0 else None
        if is_odd(data if end < 0 else data[:end]):
            return BadHttpMessage("The head breaks a rule.")
        return None

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """End the answer with an error, also for the body's reader, whom aiohttp forgets when chunks are broken."""
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))
        payload = self._payload
        if isinstance(exc, HttpProcessingError) and payload is not None and payload.exception() is None:
            set_exception(payload, MisframedError("The framing of the body is broken."))
