"""The contract of caches, as a user sees it: which calls a cache answers, and which it never answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from localagent import CachePolicy, Client, Plugin
from localagent.errors import LocalRefusal
from localagent.settings import structure
from localagent_testing.contracts.base import Contract
from localagent_testing.fake_core import FakeCore, Plugged
from localagent_testing.fake_provider import FakeProviderPlugin, Reply, fake_provider_plugin

__all__ = ["CachedCalls"]

MORE = {"vendor": {"kept": True}}


class CachedCalls(Contract):
    """A cache that a client uses.

    Attributes:
        plugin: The plugin.
    """

    plugin: ClassVar[type[Plugin]]

    def settings(self, folder: Path) -> Mapping[str, Any]:
        """Return the plugin's table of the settings.

        Args:
            folder: An empty folder, for caches that keep files.
        """
        return {}

    def _settings(self, folder: Path) -> Any:
        return structure(self.plugin.settings_class, self.settings(folder), where=f"[plugins.{self.plugin.name}]")

    @asynccontextmanager
    async def cache(self, folder: Path) -> AsyncIterator[tuple[FakeCore, Plugged[Plugin]]]:
        """Open the cache under a fake core."""
        async with FakeCore(folder=folder) as core, core.plugged(self.plugin, self._settings(folder)) as cache:
            yield core, cache

    @asynccontextmanager
    async def client(self, folder: Path, *replies: Reply) -> AsyncIterator[tuple[Client, type[FakeProviderPlugin]]]:
        """Open a client with the cache and a server that answers ``one``, ``two`` ..., with an extra field."""
        given = replies or tuple(Reply(text, more=MORE) for text in ("one", "two", "three", "four"))
        fake = fake_provider_plugin(given)
        settings = {"state_folder": str(folder), "plugins": {self.plugin.name: self.settings(folder)}}
        async with Client(settings, plugins=[fake, self.plugin], environment={}) as client:
            yield client, fake

    async def test_a_second_call_is_answered_by_the_cache(self, tmp_path: Path) -> None:
        """The server is asked once; the second answer names the cache, and is otherwise the same."""
        async with self.client(tmp_path) as (client, fake):
            first = await answered(client)
            second = await answered(client)
            assert (second.raw, second.text, second.cached) == (first.raw, "one", self.plugin.name)
            assert (first.cached, len(fake.asked)) == ("", 1)

    async def test_a_stream_is_answered_by_the_cache(self, tmp_path: Path) -> None:
        """The answer of a stream serves a second stream, event for event."""
        async with self.client(tmp_path) as (client, fake):
            first = await streamed(client)
            second = await streamed(client)
            assert second == first
            assert len(fake.asked) == 1

    async def test_streams_and_whole_answers_share(self, tmp_path: Path) -> None:
        """The answer of a stream serves a call that is not streamed, and the other way round."""
        async with self.client(tmp_path) as (client, fake):
            await streamed(client)
            assert (await answered(client)).text == "one"
        async with self.client(tmp_path / "other") as (client, fake):
            await answered(client)
            assert b'"one"' in b"".join(await streamed(client))
            assert len(fake.asked) == 1

    async def test_tenants_are_answered_apart(self, tmp_path: Path) -> None:
        """An answer for one tenant serves no other."""
        async with self.client(tmp_path) as (client, _):
            for tenant, text in (("a", "one"), ("b", "two"), ("", "three"), ("a", "one"), ("b", "two")):
                assert (await answered(client, tenant=tenant)).text == text

    async def test_another_question_is_asked(self, tmp_path: Path) -> None:
        """Any other field of the request makes another entry."""
        async with self.client(tmp_path) as (client, fake):
            for more in ({}, {"max_tokens": 5}, {"vendor": 1}, {"seed": 1}, {"seed": 1.0}):
                await answered(client, **more)
            assert len(fake.asked) == 5

    async def test_a_policy_of_the_call_is_kept(self, tmp_path: Path) -> None:
        """``cache=False`` neither asks nor stores; ``only`` refuses without an entry; ``max_age`` asks again."""
        async with self.client(tmp_path) as (client, fake):
            await answered(client, cache=False)
            with pytest.raises(LocalRefusal):
                await answered(client, cache=CachePolicy(only=True))
            assert (await answered(client)).text == "two"
            assert (await answered(client, cache=CachePolicy(only=True))).text == "two"
            assert (await answered(client, cache=CachePolicy(max_age=0.0))).text == "three"
            assert (await answered(client)).text == "three"
            assert len(fake.asked) == 3

    @pytest.mark.parametrize("repeats", [60, 80, 90])
    async def test_repeated_prompts_are_answered_by_the_cache(self, repeats: int, tmp_path: Path) -> None:
        """At least 99 % of the repeats that may be shared are hits, and no other call is.

        The trace: 300 calls with this percentage of repeats, of which every tenth has no seed; popular prompts are
        repeated more often than the others.
        """
        source = random.Random(repeats)
        kinds = ["again" if source.random() * 100 < repeats else "new" for _ in range(300)]
        asked: list[int] = []
        shared = hits = 0
        async with self.client(tmp_path, *(Reply(f"answer {number}") for number in range(301))) as (client, fake):
            for number, kind in enumerate(kinds):
                again = kind == "again" and bool(asked)
                prompt = asked[int(len(asked) * source.random() ** 2)] if again else number
                may_share = not again or source.random() >= 0.1
                response = await client.chat(f"Question {prompt}.", seed=1 if may_share else None)
                await settled()
                assert may_share or not response.cached
                shared += again and may_share
                hits += bool(response.cached)
                if not again:
                    asked.append(prompt)
        assert shared > repeats
        assert hits >= 0.99 * shared
        assert len(fake.asked) == 300 - hits

    async def test_cut_answers_are_not_stored(self, tmp_path: Path) -> None:
        """An answer that was cut by its length is not used again."""
        async with self.client(tmp_path, Reply("cut", finish="length"), Reply("whole")) as (client, _):
            assert [(await answered(client)).text for _ in range(3)] == ["cut", "whole", "whole"]

    async def test_calls_that_may_not_be_shared_are_not(self, tmp_path: Path) -> None:
        """Without temperature 0 or a seed every call gets an answer of its own."""
        async with self.client(tmp_path) as (client, _):
            assert [(await client.chat("Hello.")).text for _ in range(2)] == ["one", "two"]


async def settled() -> None:
    """Wait until returned answers are stored: the core does that afterwards, in tasks of its own."""
    while tasks := [task for task in asyncio.all_tasks() if task.get_name() == "localagent cache_store"]:
        await asyncio.wait(tasks)


async def answered(client: Client, **more: Any) -> Any:
    """Ask a question that may be shared, and wait until the answer is stored."""
    response = await client.chat("Hello.", temperature=0, **more)
    await settled()
    return response


async def streamed(client: Client) -> list[bytes]:
    """Ask the same question as a stream, and wait until the answer is stored."""
    async with client.stream("Hello.", temperature=0) as stream:
        events = [chunk.data async for chunk in stream]
    await settled()
    return events
