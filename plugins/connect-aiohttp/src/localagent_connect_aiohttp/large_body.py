"""A large request body, written in pieces."""

from __future__ import annotations

from typing import Any

import aiohttp

from localagent_connect_aiohttp.connector import Exchange

SMALL_BODY = 64 * 1024
"""The most bytes of a body that are written at once."""


class LargeBody(aiohttp.Payload):
    """A request body in pieces; reports when the last piece has been written."""

    _autoclose = True

    def __init__(self, value: bytes, exchange: Exchange) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self._exchange = exchange

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        text: str = self._value.decode(encoding, errors)
        return text

    async def write(self, writer: Any) -> None:
        """Write the body; see aiohttp's ``Payload``."""
        self._exchange.transport = writer.transport
        view = memoryview(self._value)
        for start in range(0, len(view), SMALL_BODY):
            await writer.write(view[start : start + SMALL_BODY])
        self._exchange.phases.enter("first_token")
