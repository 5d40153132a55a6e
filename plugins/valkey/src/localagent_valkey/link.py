"""One connection to the server: how it is opened, used by one caller at a time, and closed."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

OPEN_SECONDS = 5.0  # that opening a connection may take
LATE_SECONDS = 0.5  # by which a reply may be late, until its connection is given up


class StoreMissedError(Exception):
    """An operation was not done, or not in time.

    Args:
        why: Why, without anything that was sent or received.
        busy: Whether the server is not to blame: the operation waited for a connection that others used, or for one
            that was still being opened.
    """

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.busy = busy


class _Ours:
    """What is different about our connections.

    They are closed at once, for what is left to send would wait for a server that does not read. And they outlive a
    reader who leaves.
    """

    async def disconnect(self, *arguments: Any, **named: Any) -> None:
        """Abort, then let the library forget the connection."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await super().disconnect(*arguments, **named)  # type: ignore[misc]

    async def read_response(self, *arguments: Any, **named: Any) -> Any:
        """Read a reply. Where the reader is cancelled, what is there of the reply stays for ``Link.read_late``."""
        return await super().read_response(*arguments, **{**named, "disconnect_on_error": False})  # type: ignore[misc]


class _Plain(_Ours, Connection):
    """A TCP connection."""


class _Secure(_Ours, SSLConnection):
    """A TLS connection."""


class _One(ConnectionPool):
    """What the library's client takes its connection from: it is always the same one, and nobody else's meanwhile."""

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
        arguments: Of redis-py's connection.
        tls: Whether it speaks TLS.

    Attributes:
        client: Does operations over this connection.
    """

    def __init__(self, arguments: dict[str, Any], *, tls: bool) -> None:
        pool: Any = _One(_Secure if tls else _Plain, arguments)
        self._connection = pool.connection
        self.client: Redis = Redis(connection_pool=pool)

    async def open(self) -> None:
        """Connect and introduce ourselves.

        Raises:
            StoreMissedError: It cannot be done.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._connection.connect()
                return
        except Exception as error:  # redis-py's code, and whatever the server says
            why = "no connection in time" if isinstance(error, TimeoutError) else reason(error)
        raise StoreMissedError(why)

    async def is_usable(self) -> bool:
        """Say whether it is open and silent: no end and no reply is waiting to be read."""
        try:
            return self._connection.is_connected and not await self._connection.can_read()
        except RedisError:
            return False

    @property
    def is_connected(self) -> bool:
        """Whether it is open, as far as is known."""
        return bool(self._connection.is_connected)

    async def read_late(self) -> bool:
        """Read the one reply that its caller did not wait for, and throw it away; say whether it came."""
        try:
            async with asyncio.timeout(LATE_SECONDS):
                await self._connection.read_response()
        except ResponseError:
            return True
        except Exception:  # redis-py's code
            return False
        return True

    async def close(self) -> None:
        """Close it at once."""
        await self._connection.disconnect(nowait=True)


def reason(error: Exception) -> str:
    """Return why the server did not do something, without its words: they may quote what was sent."""
    return "it refuses the user or the password" if isinstance(error, AuthenticationError) else type(error).__name__
