"""Connections to the server, so many and no more, and the time that an operation may take.

redis-py's own blocking pool does not tell whether time went by in its queue or at the server. The first says that there
is much to do here, and must not count against the server; so callers queue in front of a pool that is never empty.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection

from localagent_valkey.address import ServerAddress
from localagent_valkey.settings import ValkeyCacheSettings

T = TypeVar("T")

CONNECT_SECONDS = 1.0  # for a connection that nobody waits for: names, TLS and passwords take longer than one answer


class StoreMissedError(Exception):
    """An operation was not done, or not in time.

    Args:
        why: Why, without anything that was sent or received.
        busy: Whether it was still waiting for a connection, so that the server was not even asked.
    """

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.busy = busy


class _Aborting:
    """Connections that are closed at once: what is left to send would wait for a server that does not read."""

    async def disconnect(self, *arguments: Any, **named: Any) -> None:
        """Abort, then let the library forget the connection."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await super().disconnect(*arguments, **named)  # type: ignore[misc]


class _Plain(_Aborting, Connection):
    """A TCP connection."""


class _Secure(_Aborting, SSLConnection):
    """A TLS connection."""


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
        self._pool: Any = ConnectionPool(
            _Secure if address.tls else _Plain, self._size, **_connection_arguments(address, settings)
        )
        self._client = Redis(connection_pool=self._pool)

    async def run(self, operation: Callable[[Redis], Awaitable[T]], seconds: float | None = None) -> T:
        """Do an operation within so many seconds; None means the budget of a request.

        A connection whose reply was not read to its end, because time was up or the caller was cancelled, is closed.

        Raises:
            StoreMissedError: It was not done.
        """
        asked = False
        budget = self._budget if seconds is None else seconds
        try:
            async with asyncio.timeout(budget), self._slots:
                self._refuse_when_closed()
                asked = True
                return await operation(self._client)
        except StoreMissedError:
            raise
        except Exception as error:  # redis-py's code, and whatever the server says: to the caller all of it is a miss
            why = f"no answer within {budget * 1000:g} ms" if _is_late(error) else type(error).__name__
        # Raised here and not above: the library's error may quote what was sent.
        raise StoreMissedError(why, busy=not asked)

    async def open_one(self) -> None:
        """See to it that one connection is there; takes longer than a caller would wait.

        Raises:
            StoreMissedError: None can be had.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS), self._slots:
                self._refuse_when_closed()
                await self._pool.release(await self._pool.get_connection())
                return
        except StoreMissedError:
            raise
        except Exception as error:  # as above
            why = "no connection in time" if _is_late(error) else type(error).__name__
        raise StoreMissedError(why)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StoreMissedError("closed", busy=True)

    async def aclose(self) -> None:
        """Let what is under way end, which takes a second at most, and close all connections."""
        self._closed = True
        for _ in range(self._size):
            await self._slots.acquire()
        await self._pool.disconnect()


def _is_late(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


def _connection_arguments(address: ServerAddress, settings: ValkeyCacheSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {"host": address.host, "port": address.port, "db": address.database}
    arguments |= {"protocol": 2, "socket_timeout": None, "socket_connect_timeout": None}  # the budget is for all
    if settings.password is not None:
        arguments |= {"password": settings.password.read(os.environ).reveal(), "username": settings.user or None}
    if address.tls and settings.ca_file is not None:
        arguments["ssl_ca_certs"] = str(settings.ca_file)
    return arguments
