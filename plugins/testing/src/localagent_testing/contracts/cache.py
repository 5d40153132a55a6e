"""The contract of caches: what they find, what they must never find, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec
import pytest

from localagent import (
    CacheEntry,
    CacheKey,
    Call,
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    Plugin,
    Principal,
    Request,
)
from localagent.http_answers import chat_response, completion_response, embed_response, joined_response
from localagent.records import AnyResponse, cache_keys
from localagent_testing.canaries import CANARY_PROMPT, Canaries
from localagent_testing.contracts.cached_calls import CachedCalls
from localagent_testing.fake_core import EPOCH, FakeCore, Plugged

__all__ = ["CacheContract"]

Cache: TypeAlias = Plugged[Plugin]

COUNTED = ("misses", "stored", "hits")
MESSAGES = [{"role": "user", "content": CANARY_PROMPT}]
#: Bytes of an answer that no encoder would produce again: spaces, an unknown field, an escape, a 30-digit number.
ODD = (
    b'{"id":"x",  "vendor":{"b":1,"a":[1.0,null]},"n":123456789012345678901234567890,"choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"\\u00e9 \xf0\x9f\xa6\x94"},"finish_reason":"stop"}]}'
)
EVENTS = (
    b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}],  "vendor":1}',
    b'{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}',
)


class CacheContract(CachedCalls):
    """The promises of every cache; see the hooks ``cache_lookup`` and ``cache_store``.

    The author names the plugin, and writes the settings if the defaults are not suitable::

        class TestMine(CacheContract):
            plugin = MyCache

            def settings(self, folder):
                return {"path": str(folder / "cache.db")}

    The settings must allow 300 small entries, and keep them for at least a minute. A cache whose entries outlive it, or
    are shared with others, sets ``shared = True``; two such caches with the same settings then share entries. A cache
    with a store that may be unavailable overrides ``store_down``.

    Attributes:
        shared: Whether two such caches with the same settings find each other's entries.
    """

    shared: ClassVar[bool] = False

    @asynccontextmanager
    async def store_down(self, cache: Cache, folder: Path) -> AsyncIterator[None]:
        """Make the store of the cache unavailable while the context is open.

        A cache without a store that may be unavailable does not override this; the promise is skipped then.

        Args:
            cache: The open cache.
            folder: The folder that was passed to ``settings``.
        """
        yield

    async def settled(self, cache: Cache) -> None:
        """Wait until other caches can find the stored entries; overridden by a cache that writes later.

        Args:
            cache: The open cache.
        """

    async def test_what_was_never_stored_is_a_miss(self, tmp_path: Path) -> None:
        """An empty cache finds nothing."""
        async with self.cache(tmp_path) as (core, cache):
            assert await found(cache, core.call(), keys_of(core)) is None

    async def test_what_was_stored_is_found(self, tmp_path: Path) -> None:
        """An entry is found under its key, with the time at which it was stored."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, ODD)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (entry.key,)), entry)

    async def test_answers_are_kept_byte_for_byte(self, tmp_path: Path) -> None:
        """Unknown fields, spaces, escapes and numbers of any size come back as they were."""
        async with self.cache(tmp_path) as (core, cache):
            await cache.ask("cache_store", core.call(), entry_of(core, ODD))
            entry = await found(cache, core.call(), keys_of(core))
            assert entry is not None
            assert entry.response.raw == ODD

    @pytest.mark.parametrize("operation", ["chat", "complete", "embed", "stream"])
    async def test_every_kind_of_answer_is_kept(self, operation: str, tmp_path: Path) -> None:
        """Chats, completions, embeddings and streams come back unchanged; of a stream every event."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of_kind(core, operation)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (entry.key,)), entry)

    async def test_what_it_reports_was_counted(self, tmp_path: Path) -> None:
        """A cache that implements ``collect_stats`` counts one miss, one stored answer and two hits."""
        async with self.cache(tmp_path) as (core, cache):
            if not cache.pipeline.steps["collect_stats"]:
                pytest.skip("This cache reports no statistics.")
            entry = entry_of(core, ODD)
            await found(cache, core.call(), (entry.key,))
            await cache.ask("cache_store", core.call(), entry)
            for _ in range(2):
                await found(cache, core.call(), (entry.key,))
            stats = await cache.stats()
            counts = {name: stats.value(f"cache.{name}", plugin=cache.plugin.name) for name in COUNTED}
            assert counts == {"misses": 1, "stored": 1, "hits": 2}

    async def test_storing_again_replaces(self, tmp_path: Path) -> None:
        """The latest answer under a key is found."""
        async with self.cache(tmp_path) as (core, cache):
            for text in ("first", "second"):
                await cache.ask("cache_store", core.call(), entry_of(core, answer_with(text)))
            entry = await found(cache, core.call(), keys_of(core))
            assert entry is not None
            assert entry.response.raw == answer_with("second")

    async def test_any_of_the_keys_may_hit(self, tmp_path: Path) -> None:
        """An entry may also be found under the second key of an alias."""
        async with self.cache(tmp_path) as (core, cache):
            first, second = keys_of(core, models=("m", "other"))
            entry = entry_of(core, ODD, key=second)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (first, second)), entry)
            assert await found(cache, core.call(), (first,)) is None

    @pytest.mark.parametrize("field", ["digest", "check", "size", "model", "tenant"])
    async def test_the_whole_key_must_be_equal(self, field: str, tmp_path: Path) -> None:
        """A key that differs in one field finds nothing, even if the hash is the same."""
        other = {"digest": bytes(32), "check": bytes(16), "size": 1, "model": "fake/other", "tenant": "other"}
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, ODD)
            await cache.ask("cache_store", core.call(), entry)
            key = msgspec.structs.replace(entry.key, **{field: other[field]})
            assert await found(cache, core.call(), (key,)) is None

    async def test_tenants_never_share(self, tmp_path: Path) -> None:
        """The same request of two tenants has two entries."""
        async with self.cache(tmp_path) as (core, cache):
            for tenant in ("a", "b"):
                entry = entry_of(core, answer_with(tenant), key=keys_of(core, tenant=tenant)[0])
                await cache.ask("cache_store", core.call(principal=Principal(tenant)), entry)
            for tenant in ("a", "b"):
                hit = await found(cache, core.call(principal=Principal(tenant)), keys_of(core, tenant=tenant))
                assert hit is not None
                assert hit.response.raw == answer_with(tenant)
            assert await found(cache, core.call(), keys_of(core)) is None

    async def test_two_hundred_entries_are_found(self, tmp_path: Path) -> None:
        """Two hundred different entries are all found, each with its own answer, looked up at the same time."""
        source = random.Random(7)
        async with self.cache(tmp_path) as (core, cache):
            entries = [
                entry_of(core, answer_with(f"{number} {source.random()}"), key=keys_of(core, seed=number)[0])
                for number in range(200)
            ]
            for entry in source.sample(entries, len(entries)):
                await cache.ask("cache_store", core.call(), entry)
            hits = await asyncio.gather(*(found(cache, core.call(), (entry.key,)) for entry in entries))
            for hit, entry in zip(hits, entries, strict=True):
                assert_same(hit, entry)

    async def test_a_cancelled_lookup_leaves_nothing(self, tmp_path: Path) -> None:
        """A lookup that is cancelled after any number of turns of the loop affects no later one and leaves no task."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, ODD)
            await cache.ask("cache_store", core.call(), entry)
            tasks = asyncio.all_tasks()
            for turns in range(8):
                await cancelled_after(turns, found(cache, core.call(), (entry.key,)))
            assert_same(await found(cache, core.call(), (entry.key,)), entry)
            assert asyncio.all_tasks() <= tasks

    async def test_a_cancelled_store_leaves_all_or_nothing(self, tmp_path: Path) -> None:
        """An entry whose store is cancelled is found whole or not at all, and does not prevent the next store."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, ODD)
            for turns in range(8):
                await cancelled_after(turns, cache.ask("cache_store", core.call(), entry))
                if (hit := await found(cache, core.call(), (entry.key,))) is not None:
                    assert_same(hit, entry)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (entry.key,)), entry)

    async def test_two_of_it_share_what_each_stores(self, tmp_path: Path) -> None:
        """If they share, one finds what the other has stored; if not, it finds nothing."""
        async with self.cache(tmp_path) as (core, one), self.cache(tmp_path) as (_, other):
            entry = entry_of(core, ODD)
            await one.ask("cache_store", core.call(), entry)
            await self.settled(one)
            hit = await found(other, core.call(), (entry.key,))
            assert (hit is not None) is self.shared
            if hit is not None:
                assert_same(hit, entry)

    async def test_a_store_that_is_down_is_a_miss(self, tmp_path: Path) -> None:
        """Lookups and stores end without an error; when the store is available again, entries are kept again."""
        if type(self).store_down is CacheContract.store_down:
            pytest.skip("This cache has no store that may be unavailable.")
        async with self.cache(tmp_path) as (core, cache):
            entries = [entry_of(core, answer_with(str(seed)), key=keys_of(core, seed=seed)[0]) for seed in range(3)]
            await cache.ask("cache_store", core.call(), entries[0])
            await self.settled(cache)
            async with self.store_down(cache, tmp_path):
                for entry in entries:
                    if (hit := await found(cache, core.call(), (entry.key,))) is not None:
                        assert_same(hit, entry)
                await cache.ask("cache_store", core.call(), entries[1])
                await self.settled(cache)
            await cache.ask("cache_store", core.call(), entries[2])
            await self.settled(cache)
            assert_same(await found(cache, core.call(), (entries[2].key,)), entries[2])
            assert not cache.failures

    @pytest.mark.parametrize("days", [-400, -1, 1, 400])
    async def test_a_clock_that_jumps_spoils_nothing(self, days: int, tmp_path: Path) -> None:
        """After the wall clock was set, also back, old entries are found or not; new entries are found."""
        jumped = [0.0]

        def wall_time() -> float:
            return EPOCH + asyncio.get_running_loop().time() + jumped[0]

        settings = self._settings(tmp_path)
        async with FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(self.plugin, settings) as cache:
            old, new = (entry_of(core, answer_with(text), key=keys_of(core, seed=len(text))[0]) for text in ("a", "bb"))
            await cache.ask("cache_store", core.call(), old)
            await self.settled(cache)
            assert_same(await found(cache, core.call(), (old.key,)), old)
            jumped[0] = days * 86_400.0
            if (hit := await found(cache, core.call(), (old.key,))) is not None:
                assert_same(hit, old)
            for entry in (new, old):
                await cache.ask("cache_store", core.call(), entry)
                assert_same(await found(cache, core.call(), (entry.key,)), entry)
            await self.settled(cache)
            for entry in (new, old):
                assert_same(await found(cache, core.call(), (entry.key,)), entry)
            assert not cache.failures

    async def test_ten_thousand_keys_pass_through(self, tmp_path: Path) -> None:
        """Each of 10,000 entries is found unchanged or not at all, the last one is found, and nothing raises."""
        async with self.cache(tmp_path) as (core, cache):
            template = keys_of(core)[0]
            response = chat_response(ODD, core.attempt())
            call = core.call()
            for number in range(10_000):
                key = msgspec.structs.replace(template, digest=number.to_bytes(32), size=number)
                entry = CacheEntry(key, response, None, float(number))
                await cache.ask("cache_store", call, entry)
                if number % 500 == 499:
                    await self.settled(cache)
                    assert_same(await found(cache, call, (key,)), entry)
                    earlier = random.Random(number).randrange(number)
                    key = msgspec.structs.replace(template, digest=earlier.to_bytes(32), size=earlier)
                    hit = await found(cache, call, (key,))
                    assert hit is None or (hit.key, hit.stored) == (key, float(earlier))
            assert not cache.failures

    async def test_unknown_fields_are_kept(self, tmp_path: Path) -> None:
        """Unknown fields come back, and so do tools, reasoning and log probabilities."""
        message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [{"id": "t", "x": 1}]}
        choices = [{"index": n, "message": message, "logprobs": {"v": [n]}, "finish_reason": "stop"} for n in (0, 1)]
        raw = msgspec.json.encode({"choices": choices, "vendor": {"deep": [{"er": None}]}, "service_tier": "x"})
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, raw)
            await cache.ask("cache_store", core.call(), entry)
            await self.settled(cache)
            hit = await found(cache, core.call(), (entry.key,))
            assert_same(hit, entry)
            assert hit is not None
            assert hit.response.document == msgspec.json.decode(raw)
            assert hit.response.facts == entry.response.facts

    async def test_closing_and_opening_again_works(self, tmp_path: Path) -> None:
        """A cache that was closed can be opened again; it then finds what was stored, or nothing."""
        async with FakeCore(folder=tmp_path) as core:
            entry = entry_of(core, ODD)
            for _ in range(2):
                async with core.plugged(self.plugin, self._settings(tmp_path)) as cache:
                    if (hit := await found(cache, core.call(), (entry.key,))) is not None:
                        assert_same(hit, entry)
                    await cache.ask("cache_store", core.call(), entry)

    async def test_prompts_are_not_shown(self, tmp_path: Path, canaries: Canaries) -> None:
        """Neither the log nor the cache's repr contains a request or an answer."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, answer_with(CANARY_PROMPT))
            await cache.ask("cache_store", core.call(), entry)
            await found(cache, core.call(), (entry.key,))
            canaries.watch(repr(cache.plugin))

    async def test_nothing_was_isolated(self, tmp_path: Path) -> None:
        """The cache raises in none of the usual operations; the core would hide it."""
        async with self.cache(tmp_path) as (core, cache):
            for operation in ("chat", "complete", "embed", "stream"):
                entry = entry_of_kind(core, operation)
                await cache.ask("cache_store", core.call(), entry)
                await found(cache, core.call(), (entry.key,))
            assert not cache.failures


async def found(cache: Cache, call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
    """Look up an entry in a cache."""
    entry: CacheEntry | None = await cache.ask("cache_lookup", call, keys)
    return entry


async def cancelled_after(turns: int, work: Any) -> None:
    """Start some work and cancel it after a number of turns of the loop."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def keys_of(
    core: FakeCore, *, tenant: str = "", models: tuple[str, ...] = ("m",), seed: int = 0
) -> tuple[CacheKey, ...]:
    """Return the keys of a request."""
    request = ChatRequest({"messages": MESSAGES, "seed": seed})
    return cache_keys(request, [core.target(model) for model in models], tenant)


def answer_with(text: str) -> bytes:
    """Return an answer with this text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return msgspec.json.encode({"id": "x", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})


def entry_of(core: FakeCore, raw: bytes, *, key: CacheKey | None = None) -> CacheEntry:
    """Return an entry with a chat's answer."""
    return CacheEntry(key or keys_of(core)[0], chat_response(raw, core.attempt()), stored=1234.5)


def entry_of_kind(core: FakeCore, operation: str) -> CacheEntry:
    """Return an entry with an answer of an operation."""
    request: Request = ChatRequest({"messages": MESSAGES})
    response: AnyResponse
    if operation == "complete":
        request = CompletionRequest({"prompt": CANARY_PROMPT})
        raw = b'{"choices":[{"index":0,"text":" and so on","finish_reason":"stop"}]}'
        response = completion_response(raw, core.attempt(core.call(request)))
    elif operation == "embed":
        request = EmbedRequest({"input": CANARY_PROMPT})
        response = embed_response(b'{"data":[{"index":0,"embedding":[0.1,1e-9]}]}', core.attempt(core.call(request)))
    elif operation == "stream":
        response = joined_response(EVENTS, core.attempt())
    else:
        response = chat_response(ODD, core.attempt())
    events = EVENTS if operation == "stream" else None
    return CacheEntry(cache_keys(request, [core.target()], "")[0], response, events, stored=99.25)


def assert_same(hit: CacheEntry | None, entry: CacheEntry) -> None:
    """Compare what was found with what was stored."""
    assert hit is not None
    assert (hit.key, hit.events, hit.stored) == (entry.key, entry.events, entry.stored)
    assert type(hit.response) is type(entry.response)
    for name in ("raw", "model", "instance", "usage", "text", "finish_reasons"):
        assert getattr(hit.response, name, None) == getattr(entry.response, name, None), name
