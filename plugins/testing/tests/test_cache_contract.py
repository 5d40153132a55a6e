"""The contract of caches: a dictionary keeps it, and caches that are wrong in one way break it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from localagent.plugin_api.kinds import hookimpl
from localagent.plugin_api.plugin import Plugin
from localagent.records.caching import CacheEntry, CacheKey
from localagent.records.call import Call
from localagent_testing import CacheContract, Canaries


class DictCache(Plugin):
    name = "cache-dict"

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._entries: dict[Any, CacheEntry] = {}

    def place(self, key: CacheKey) -> Any:
        return key

    @hookimpl
    async def cache_lookup(self, call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        return next((entry for key in keys if (entry := self._entries.get(self.place(key)))), None)

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        self._entries[self.place(entry.key)] = entry


class TestDictCache(CacheContract):
    plugin = DictCache


class ByDigest(DictCache):
    """Trusts the hash alone."""

    def place(self, key: CacheKey) -> Any:
        return key.digest


class FirstWins(DictCache):
    """Never replaces."""

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        self._entries.setdefault(self.place(entry.key), entry)


class Reencoding(DictCache):
    """Keeps the document instead of the bytes."""

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        raw = msgspec.json.encode(entry.response.document)
        response = msgspec.structs.replace(entry.response, raw=raw)
        self._entries[entry.key] = msgspec.structs.replace(entry, response=response)


class Small(DictCache):
    """Keeps ten entries."""

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        self._entries[entry.key] = entry
        while len(self._entries) > 10:
            del self._entries[next(iter(self._entries))]


class Locked(DictCache):
    """Takes a lock and gives it back only when all goes well."""

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._lock = asyncio.Lock()

    @hookimpl
    async def cache_lookup(self, call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        await self._lock.acquire()
        await asyncio.sleep(0)
        self._lock.release()
        return self._entries.get(keys[0])


class Talkative(DictCache):
    """Shows what it holds."""

    def __repr__(self) -> str:
        return f"<{self._entries}>"


class Bound(DictCache):
    """Keeps the loop's time instead of the wall clock's."""

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        self._entries[entry.key] = msgspec.structs.replace(entry, stored=0.0)


class ByEnd(DictCache):
    """Confuses entries, once there are many."""

    def place(self, key: CacheKey) -> Any:
        return key.digest[-1]


class Steady(DictCache):
    """Thinks that time only goes forward."""

    latest = 0.0

    @hookimpl
    async def cache_lookup(self, call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        self.latest = max(self.latest, self.core.wall_time())
        return self._entries.get(keys[0]) if self.core.wall_time() >= self.latest else None


class Forgetful(DictCache):
    """Keeps nine of ten."""

    stored = 0

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        self.stored += 1
        if self.stored % 10:
            self._entries[entry.key] = entry


class Tidy(DictCache):
    """Throws away what it does not know."""

    @hookimpl
    async def cache_store(self, call: Call, entry: CacheEntry) -> None:
        known = {"choices": entry.response.document["choices"]}
        response = msgspec.structs.replace(entry.response, raw=msgspec.json.encode(known))
        self._entries[entry.key] = msgspec.structs.replace(entry, response=response)


class Everywhere(DictCache):
    """Shares its entries without declaring it."""

    everybody: ClassVar[dict[Any, CacheEntry]] = {}

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._entries = self.everybody


WRONG: list[tuple[type[Plugin], str, dict[str, Any]]] = [
    (ByDigest, "test_the_whole_key_must_be_equal", {"field": "check"}),
    (FirstWins, "test_storing_again_replaces", {}),
    (Reencoding, "test_answers_are_kept_byte_for_byte", {}),
    (Small, "test_two_hundred_entries_are_found", {}),
    (Locked, "test_a_cancelled_lookup_leaves_nothing", {}),
    (Bound, "test_what_was_stored_is_found", {}),
    (ByEnd, "test_ten_thousand_keys_pass_through", {}),
    (Steady, "test_a_clock_that_jumps_spoils_nothing", {"days": -1}),
    (Forgetful, "test_repeated_prompts_are_answered_by_the_cache", {"repeats": 60}),
    (Tidy, "test_unknown_fields_are_kept", {}),
    (Everywhere, "test_two_of_it_share_what_each_stores", {}),
]


@pytest.mark.parametrize(("kind", "promise", "arguments"), WRONG, ids=[row[0].__name__ for row in WRONG])
async def test_a_wrong_cache_breaks_the_contract(
    kind: type[Plugin], promise: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    """Each promise can fail: a cache that is wrong in one way does not keep it."""

    class Wrong(CacheContract):
        plugin: ClassVar[type[Plugin]] = kind

    with pytest.raises((AssertionError, TimeoutError)):
        await asyncio.wait_for(getattr(Wrong(), promise)(tmp_path=tmp_path, **arguments), 1.0)


async def test_a_cache_that_shows_prompts_is_seen(tmp_path: Path) -> None:
    """What a cache shows of itself is searched for the canaries."""

    class Wrong(CacheContract):
        plugin = Talkative

    watcher = Canaries()
    await Wrong().test_prompts_are_not_shown(tmp_path, watcher)
    assert watcher.search()


def test_a_cache_without_its_hooks_is_no_cache(tmp_path: Path) -> None:
    """A plugin that finds nothing and keeps nothing does not pass."""

    class Nothing(Plugin):
        name = "cache-nothing"

    class Empty(CacheContract):
        plugin = Nothing

    with pytest.raises(AssertionError):
        asyncio.run(Empty().test_what_was_stored_is_found(tmp_path))
