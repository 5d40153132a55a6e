"""Makes the connections of clients and counts them: aiohttp's server tells nobody when the last one is gone."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from localagent_gateway.malformed import Connection


class CountedServer(web.Server):
    """aiohttp's low-level server.

    Args:
        handler: Answers requests.
        options: Those of aiohttp.

    Attributes:
        open: The connections that are open, idle ones included.
        none: Set while none is open.
    """

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self.open = 0
        self.none = asyncio.Event()
        self.none.set()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection."""
        self.open += 1
        self.none.clear()
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count it no longer."""
        super().connection_lost(handler, exc)
        self.open -= 1
        if not self.open:
            self.none.set()
