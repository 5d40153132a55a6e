"""One connection to the server, used by one caller at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

OPEN_SECONDS = 5.0  # the timeout for opening a connection
LATE_SECONDS = 0.5  # the wait for a late reply until its connection is closed


class StoreMissedError(Exception):
    """An operation failed or timed out.

    Args:
        why: The reason, without any data that was sent or received.
        busy: Whether this is not a failure of the server: the operation waited for a connection that others used, or
            for one that was still being opened.
    """

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.busy = busy


class _Ours:
    """The differences from redis-py's connections.

    These are closed at once, because unsent data would wait for a server that does not read. And they stay open when
    their reader is cancelled.
    """

    async def disconnect(self, *arguments: Any, **named: Any) -> None:
        """Abort the transport, then let the library clean up."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await super().disconnect(*arguments, **named)  # type: ignore[misc]

    async def read_response(self, *arguments: Any, **named: Any) -> Any:
        """Read a reply. If the reader is cancelled, the received part of the reply stays for ``Link.read_late``."""
        return await super().read_response(*arguments, **{**named, "disconnect_on_error": False})  # type: ignore[misc]


class _Plain(_Ours, Connection):
    """A TCP connection."""


class _Secure(_Ours, SSLConnection):
    """A TLS connection."""


class _One(ConnectionPool):
    """A pool with one connection, which the library's client always gets; no other caller uses it meanwhile."""

    def __init__(self, kind: type[Any], arguments: dict[str, Any]) -> None:
        super().__init__(kind, 1, **arguments)
        self.connection: Any = self.make_connection()  # type: ignore[no-untyped-call]

    async def get_connection(self, *arguments: Any, **named: Any) -> Any:
        return self.connection

    async def release(self, connection: Any) -> None:
        pass


class Link:
    """One connection.

    Args:
        arguments: The arguments of redis-py's connection.
        tls: Whether it uses TLS.

    Attributes:
        client: The client that runs operations over this connection.
    """

    def __init__(self, arguments: dict[str, Any], *, tls: bool) -> None:
        pool: Any = _One(_Secure if tls else _Plain, arguments)
        self._connection = pool.connection
        self.client: Redis = Redis(connection_pool=pool)

    async def open(self) -> None:
        """Connect and authenticate.

        Raises:
            StoreMissedError: The connection failed or timed out.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._connection.connect()
                return
        except Exception as error:  # from redis-py or the server
            why = "no connection in time" if isinstance(error, TimeoutError) else reason(error)
        raise StoreMissedError(why)

    async def is_usable(self) -> bool:
        """Return whether the connection is open and idle: no end of stream and no reply is waiting to be read."""
        try:
            return self._connection.is_connected and not await self._connection.can_read()
        except RedisError:
            return False

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return bool(self._connection.is_connected)

    async def read_late(self) -> bool:
        """Read and discard the one reply that its caller did not wait for; return whether it arrived."""
        try:
            async with asyncio.timeout(LATE_SECONDS):
                await self._connection.read_response()
        except ResponseError:
            return True
        except Exception:  # redis-py's code
            return False
        return True

    async def close(self) -> None:
        """Close the connection at once."""
        await self._connection.disconnect(nowait=True)


def reason(error: Exception) -> str:
    """Return the reason of an error without the server's text, which may quote the request."""
    return "it refuses the user or the password" if isinstance(error, AuthenticationError) else type(error).__name__
