"""What happens when the system has no descriptor left for a new connection.

The event loop stops accepting for a second and tries again; here a connection is closed that waits for its client, so
that the next try succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from localagent_gateway.descriptors import SHORT

log = logging.getLogger("localagent.gateway")


class AcceptErrors:
    """Hears of the errors of an event loop while it is open; all but those about accepting go where they went before.

    Args:
        loop: The event loop.
        make_room: Closes a connection; returns whether there was one to close.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, make_room: Callable[[], bool]) -> None:
        self._loop = loop
        self._make_room = make_room
        self._former = loop.get_exception_handler()
        loop.set_exception_handler(self._heard)

    def close(self) -> None:
        """Hear of them no longer."""
        if self._loop.get_exception_handler() == self._heard:
            self._loop.set_exception_handler(self._former)

    def _heard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SHORT and "socket" in context:
            log.warning("No descriptor is left for a new connection. Raise the limit of open files: ulimit -n.")
            self._make_room()
        elif self._former is not None:
            self._former(loop, context)
        else:
            loop.default_exception_handler(context)
