"""The entries of this cache on the server, for ``localagent cache``, which may take longer than a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import attrs
from redis.asyncio import Redis

from localagent import CacheEntry
from localagent.errors import PluginError
from localagent.records import EntryFilter, EntryInfo
from localagent_valkey.connections import Connections
from localagent_valkey.link import StoreMissedError
from localagent_valkey.values import NoEntryError

T = TypeVar("T")

PAGE = 200  # names per command, so that the server can serve other clients in between
SECONDS = 10.0  # the timeout of one such command
_SPECIAL = str.maketrans({one: f"\\{one}" for one in "\\*?["})


@attrs.define
class _Found:
    """A value that contains an entry."""

    name: bytes
    size: int
    entry: CacheEntry


class Contents:
    """The values whose names begin with a prefix; no other data on the server is read or changed.

    The names come from SCAN, so entries that are added or removed meanwhile may be included or not.

    Args:
        connections: The connections to the server.
        prefix: The beginning of all names.
        opened: Returns the entry in a value, or None.
        wall_time: Returns the seconds since the epoch.
    """

    def __init__(
        self,
        connections: Connections,
        prefix: str,
        opened: Callable[[bytes], CacheEntry | None],
        wall_time: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._pattern = f"{prefix.translate(_SPECIAL)}*"
        self._opened = opened
        self._wall_time = wall_time

    async def extent(self) -> tuple[int, int]:
        """Return the number of values and their total size in bytes.

        Raises:
            PluginError: The server did not answer.
        """
        number = size = 0
        async for names in self._pages():
            lengths = [length for length in await self._ask(_lengths(names)) if length]
            number, size = number + len(lengths), size + sum(lengths)
        return number, size

    async def entries(self, entry_filter: EntryFilter) -> AsyncIterator[EntryInfo]:
        """Yield the metadata of matching entries.

        Raises:
            PluginError: The server did not answer.
        """
        async for one in self._chosen(entry_filter):
            key = one.entry.key
            yield EntryInfo(key.digest.hex(), key.model, key.tenant, self._age(one.entry), one.size, 0)

    async def export(self, entry_filter: EntryFilter) -> AsyncIterator[CacheEntry]:
        """Yield matching entries.

        Raises:
            PluginError: The server did not answer.
        """
        async for one in self._chosen(entry_filter):
            yield one.entry

    async def purge(self, entry_filter: EntryFilter) -> int:
        """Delete matching entries and return their number.

        Raises:
            PluginError: The server did not answer.
        """
        names = [one.name async for one in self._chosen(entry_filter)]
        gone = 0
        for start in range(0, len(names), PAGE):
            page: list[Any] = names[start : start + PAGE]
            gone += await self._ask(lambda server, page=page: server.unlink(*page))  # type: ignore[misc]
        return gone

    async def _chosen(self, entry_filter: EntryFilter) -> AsyncIterator[_Found]:
        async for names in self._pages():
            asked: list[Any] = list(names)
            values: list[Any] = await self._ask(lambda server, asked=asked: server.mget(asked))  # type: ignore[misc]
            for name, value in zip(names, values, strict=True):
                entry = None if value is None else self._entry_in(value)
                if entry is not None and entry_filter.fits(entry.key, self._age(entry)):
                    yield _Found(name, len(value), entry)

    async def _pages(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the names, each once, although SCAN may return one twice."""
        cursor: Any = 0
        seen: set[bytes] = set()
        while True:
            cursor, names = await self._ask(
                lambda server, at=cursor: server.scan(at, match=self._pattern, count=PAGE)  # type: ignore[misc]
            )
            if new := [name for name in dict.fromkeys(names) if name not in seen]:
                seen.update(new)
                yield new
            if not cursor:
                return

    async def _ask(self, operation: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            return await self._connections.run(operation, SECONDS)
        except StoreMissedError as miss:
            why = miss.why
        raise PluginError(f"The server of cache-valkey failed: {why}.", hint="See: localagent doctor")

    def _entry_in(self, value: bytes) -> CacheEntry | None:
        try:
            return self._opened(value)
        except NoEntryError:
            return None

    def _age(self, entry: CacheEntry) -> float:
        return max(0.0, self._wall_time() - entry.stored)


def _lengths(names: Sequence[bytes]) -> Callable[[Redis], Awaitable[list[int]]]:
    async def asked(server: Redis) -> list[int]:
        async with server.pipeline(transaction=False) as several:
            for name in names:
                several.strlen(name)
            lengths: list[int] = await several.execute()
            return lengths

    return asked
