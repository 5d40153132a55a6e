"""The contract of caches: what is found, what is never found, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from localagent.cache_keys import CacheKey, cache_keys
from localagent.caching import AnyResponse, CacheEntry
from localagent.call import Call, Principal
from localagent.plugins import Plugin
from localagent.requests import ChatRequest, CompletionRequest, EmbedRequest, Request
from localagent.testing.canaries import CANARY_PROMPT, Canaries
from localagent.testing.contracts.cached_calls import CachedCalls
from localagent.testing.fake_core import FakeCore, Plugged
from localagent.wire.openai_wire import chat_response, completion_response, embed_response, joined_response

__all__ = ["CacheContract"]

Cache: TypeAlias = Plugged[Plugin]

MESSAGES = [{"role": "user", "content": CANARY_PROMPT}]
#: Bytes of an answer that no encoder would make again: spaces, an unknown field, an escape, a number of 30 digits.
ODD = (
    b'{"id":"x",  "vendor":{"b":1,"a":[1.0,null]},"n":123456789012345678901234567890,"choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"\\u00e9 \xf0\x9f\xa6\x94"},"finish_reason":"stop"}]}'
)
EVENTS = (
    b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}],  "vendor":1}',
    b'{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}',
)


class CacheContract(CachedCalls):
    """What every cache promises; see the hooks ``cache_lookup`` and ``cache_store``.

    The author names the plugin, and writes the settings if the defaults do not do::

        class TestMine(CacheContract):
            plugin = MyCache

            def settings(self, folder):
                return {"path": str(folder / "cache.db")}

    The settings must leave room for 300 small entries, and keep them for a minute at least.
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
        """Chats, completions, embeddings and streams come back as what they were; of a stream every event."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of_kind(core, operation)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (entry.key,)), entry)

    async def test_storing_again_replaces(self, tmp_path: Path) -> None:
        """The last answer under a key is the one that is found."""
        async with self.cache(tmp_path) as (core, cache):
            for text in ("first", "second"):
                await cache.ask("cache_store", core.call(), entry_of(core, answer_with(text)))
            entry = await found(cache, core.call(), keys_of(core))
            assert entry is not None
            assert entry.response.raw == answer_with("second")

    async def test_any_of_the_keys_may_hit(self, tmp_path: Path) -> None:
        """Of the keys of an alias the second one may be the one that is known."""
        async with self.cache(tmp_path) as (core, cache):
            first, second = keys_of(core, models=("m", "other"))
            entry = entry_of(core, ODD, key=second)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (first, second)), entry)
            assert await found(cache, core.call(), (first,)) is None

    @pytest.mark.parametrize("field", ["digest", "check", "size", "model", "tenant"])
    async def test_the_whole_key_must_be_equal(self, field: str, tmp_path: Path) -> None:
        """A key that differs in one field finds nothing, even where the hash is the same."""
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
        """Two hundred different entries are all found, each with its own answer, asked for all at once."""
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
        """A lookup that is cancelled, after any number of turns of the loop, spoils no later one and leaves no task."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, ODD)
            await cache.ask("cache_store", core.call(), entry)
            tasks = asyncio.all_tasks()
            for turns in range(8):
                await cancelled_after(turns, found(cache, core.call(), (entry.key,)))
            assert_same(await found(cache, core.call(), (entry.key,)), entry)
            assert asyncio.all_tasks() <= tasks

    async def test_a_cancelled_store_leaves_all_or_nothing(self, tmp_path: Path) -> None:
        """A store that is cancelled is found whole or not at all, and does not keep the next one from being stored."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, ODD)
            for turns in range(8):
                await cancelled_after(turns, cache.ask("cache_store", core.call(), entry))
                if (hit := await found(cache, core.call(), (entry.key,))) is not None:
                    assert_same(hit, entry)
            await cache.ask("cache_store", core.call(), entry)
            assert_same(await found(cache, core.call(), (entry.key,)), entry)

    async def test_closing_and_opening_again_works(self, tmp_path: Path) -> None:
        """A cache that was closed can be opened again; what it then finds is what was stored, or nothing."""
        async with FakeCore(folder=tmp_path) as core:
            entry = entry_of(core, ODD)
            for _ in range(2):
                async with core.plugged(self.plugin, self._settings(tmp_path)) as cache:
                    if (hit := await found(cache, core.call(), (entry.key,))) is not None:
                        assert_same(hit, entry)
                    await cache.ask("cache_store", core.call(), entry)

    async def test_prompts_are_not_shown(self, tmp_path: Path, canaries: Canaries) -> None:
        """Neither log nor the cache's own repr holds what was asked or answered."""
        async with self.cache(tmp_path) as (core, cache):
            entry = entry_of(core, answer_with(CANARY_PROMPT))
            await cache.ask("cache_store", core.call(), entry)
            await found(cache, core.call(), (entry.key,))
            canaries.watch(repr(cache.plugin))

    async def test_nothing_was_isolated(self, tmp_path: Path) -> None:
        """None of the usual ways makes the cache raise; the core would hide it."""
        async with self.cache(tmp_path) as (core, cache):
            for operation in ("chat", "complete", "embed", "stream"):
                entry = entry_of_kind(core, operation)
                await cache.ask("cache_store", core.call(), entry)
                await found(cache, core.call(), (entry.key,))
            assert not cache.troubles


async def found(cache: Cache, call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
    """Ask a cache."""
    entry: CacheEntry | None = await cache.ask("cache_lookup", call, keys)
    return entry


async def cancelled_after(turns: int, work: Any) -> None:
    """Begin some work and cancel it after a number of turns of the loop."""
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
