"""Operations at the server, so many at once and no more, and the time that each may take.

redis-py's own blocking pool does not tell whether time went by in its queue or at the server. The first says that there
is much to do here, and must not count against the server; so callers queue in front of the connections.
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

ROUND_TRIPS = 5  # that opening a connection takes, at most: TCP, two for TLS, AUTH, SELECT


class Connections:
    """The connections of one event loop.

    Args:
        address: The server.
        settings: Password, pool size, budget.

    Raises:
        SettingsError: The password is not where it should be.
    """

    def __init__(self, address: ServerAddress, settings: ValkeyCacheSettings) -> None:
        self._size = settings.pool_size
        self._budget = settings.budget
        self._slots = asyncio.Semaphore(self._size)
        self._closed = False
        arguments = _connection_arguments(address, settings)
        self._links = Links(lambda: Link(arguments, tls=address.tls))

    async def run(self, operation: Callable[[Redis], Awaitable[T]], seconds: float | None = None) -> T:
        """Do an operation within so many seconds; None means the budget of a request, and an operation of one command.

        Raises:
            StoreMissedError: It was not done.
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
                # Opening takes several round trips. As long as each may still fit the budget, nothing is wrong.
                why, busy = self._links.trouble or why, self._links.are_coming(ROUND_TRIPS * budget)
        except Exception as error:  # redis-py's code, and whatever the server says: to the caller all of it is a miss
            why, busy = reason(error), False
        # Raised here and not above: the library's error may quote what was sent.
        raise StoreMissedError(why, busy=busy)

    async def _asked(self, link: Link, operation: Callable[[Redis], Awaitable[T]], *, one_command: bool) -> T:
        try:
            result = await operation(link.client)
        except ResponseError:
            await self._links.give_back(link)
            raise
        except asyncio.CancelledError:  # time is up, or the caller has left
            await (self._links.leave(link) if one_command else self._links.lose(link))
            raise
        except BaseException:
            await self._links.lose(link)
            raise
        await self._links.give_back(link)
        return result

    async def open_one(self) -> None:
        """See to it that one connection is there; takes longer than a caller would wait.

        Raises:
            StoreMissedError: None can be had.
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
        """Let what was asked end, which takes no longer than a budget, and close all connections."""
        self._closed = True
        await self._links.stop()
        for _ in range(self._size):
            await self._slots.acquire()
        await self._links.aclose()


def _connection_arguments(address: ServerAddress, settings: ValkeyCacheSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {"host": address.host, "port": address.port, "db": address.database}
    arguments |= {"protocol": 2, "driver_info": None}  # which would be told to the server when connecting
    arguments |= {"socket_timeout": None, "socket_connect_timeout": None}  # the budget is for all
    if settings.password is not None:
        arguments |= {"password": settings.password.read(os.environ).reveal(), "username": settings.user or None}
    if address.tls and settings.ca_file is not None:
        arguments["ssl_ca_certs"] = str(settings.ca_file)
    return arguments
