"""Runs operations at the server, with a limit on their number at a time and a timeout for each.

redis-py's own blocking pool does not show whether time passed in its queue or at the server. Time in the queue means
that this process is busy, and must not count as a failure of the server; so callers queue before they get a connection.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from localagent_valkey.address import ServerAddress
from localagent_valkey.link import OPEN_SECONDS, Link, StoreMissedError, reason
from localagent_valkey.links import Links
from localagent_valkey.settings import ValkeyCacheSettings

T = TypeVar("T")

ROUND_TRIPS = 5  # the most that opening a connection takes: TCP, two for TLS, AUTH, SELECT


class Connections:
    """The connections of one event loop.

    Args:
        address: The address of the server.
        settings: Password, pool size, budget.

    Raises:
        SettingsError: The password cannot be read from its reference.
    """

    def __init__(self, address: ServerAddress, settings: ValkeyCacheSettings) -> None:
        self._size = settings.pool_size
        self._budget = settings.budget
        self._slots = asyncio.Semaphore(self._size)
        self._closed = False
        arguments = _connection_arguments(address, settings)
        self._links = Links(lambda: Link(arguments, tls=address.tls))

    async def run(self, operation: Callable[[Redis], Awaitable[T]], seconds: float | None = None) -> T:
        """Run an operation with a timeout in seconds; None takes the budget of a request, for a single command.

        Raises:
            StoreMissedError: The operation failed or timed out.
        """
        budget = self._budget if seconds is None else seconds
        link: Link | None = None
        waiting = "for others"
        try:
            async with asyncio.timeout(budget), self._slots:
                self._refuse_when_closed()
                waiting = "for a connection"
                link = await self._links.take()
                waiting = "for the server"
                return await self._asked(link, operation, one_command=seconds is None)
        except StoreMissedError:
            raise
        except TimeoutError:
            why, busy = f"no answer within {budget * 1000:g} ms", waiting == "for others"
            if waiting == "for a connection":
                # Opening takes several round trips. While each may still fit the budget, this is no failure.
                why, busy = self._links.trouble or why, self._links.are_coming(ROUND_TRIPS * budget)
        except Exception as error:  # from redis-py or the server: for the caller, every error is a miss
            why, busy = reason(error), False
        # Raised here and not above, because the library's error may quote the request.
        raise StoreMissedError(why, busy=busy)

    async def _asked(self, link: Link, operation: Callable[[Redis], Awaitable[T]], *, one_command: bool) -> T:
        try:
            result = await operation(link.client)
        except ResponseError:
            await self._links.give_back(link)
            raise
        except asyncio.CancelledError:  # the timeout expired, or the caller was cancelled
            await (self._links.leave(link) if one_command else self._links.lose(link))
            raise
        except BaseException:
            await self._links.lose(link)
            raise
        await self._links.give_back(link)
        return result

    async def open_one(self) -> None:
        """Open a connection unless one is idle; may take longer than a caller would wait.

        Raises:
            StoreMissedError: No connection can be opened.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS), self._slots:
                self._refuse_when_closed()
                return await self._links.give_back(await self._links.take())
        except TimeoutError:
            raise StoreMissedError("no connection in time") from None

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StoreMissedError("closed", busy=True)

    async def aclose(self) -> None:
        """Wait for running operations, for one budget at most, and close all connections."""
        self._closed = True
        await self._links.stop()
        for _ in range(self._size):
            await self._slots.acquire()
        await self._links.aclose()


def _connection_arguments(address: ServerAddress, settings: ValkeyCacheSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {"host": address.host, "port": address.port, "db": address.database}
    arguments |= {"protocol": 2, "driver_info": None}  # which would be sent to the server when connecting
    arguments |= {"socket_timeout": None, "socket_connect_timeout": None}  # the budget limits both
    if settings.password is not None:
        arguments |= {"password": settings.password.read(os.environ).reveal(), "username": settings.user or None}
    if address.tls and settings.ca_file is not None:
        arguments["ssl_ca_certs"] = str(settings.ca_file)
    return arguments
