"""What a client says about caches, and what it gets: Cache-Control, Cache-Status and Age."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx
import pytest
from dialects_under_test import ASKED, Way

from localagent import CacheEntry, CachePolicy, Plugin, Response, hookimpl
from localagent.errors import InvalidRequest
from localagent_gateway.apis.answers import answer_headers
from localagent_gateway.apis.service import cache_policy
from localagent_testing import Reply, fake_provider_plugin

BODY = {"messages": [{"role": "user", "content": "Hello."}], "temperature": 0}
HIT = "localagent; hit; detail=cache-dict"
SHARED = "localagent; fwd=miss; collapsed"


class Cache(Plugin):
    """A dictionary."""

    name = "cache-dict"
    entries: dict[Any, CacheEntry]

    @hookimpl
    async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
        return type(self).entries.get(keys[0])

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        type(self).entries[entry.key] = entry


def cache() -> type[Cache]:
    return type("Made", (Cache,), {"entries": {}})


async def asked(session: aiohttp.ClientSession, url: str, control: str = "", **more: Any) -> aiohttp.ClientResponse:
    headers = {"cache-control": control} if control else {}
    async with session.post(f"{url}/v1/chat/completions", json={**BODY, **more}, headers=headers) as answer:
        await answer.read()
        return answer


async def until_stored(known: type[Cache]) -> None:
    while not known.entries:  # noqa: ASYNC110 - a turn of the loop at a time
        await asyncio.sleep(0)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_a_cache_says_so_and_how_old_it_is(serve: Any, stream: bool) -> None:
    """One that was made for the request says that none had it, and has no age."""
    known = cache()
    fake = fake_provider_plugin(Reply("ok"))
    async with serve(plugins=[fake, known]) as served, aiohttp.ClientSession() as session:
        first = await asked(session, served.url, stream=stream)
        assert first.headers["cache-status"] == "localagent; fwd=miss"
        assert "age" not in first.headers
        await until_stored(known)
        again = await asked(session, served.url, stream=stream)
        assert (again.headers["cache-status"], again.headers["age"].isdigit()) == (HIT, True)


@pytest.mark.parametrize(
    ("control", "forwarded"), [("no-cache", "request"), ("no-store", "request"), ("max-age=0", "miss")]
)
async def test_what_cache_control_forbids_is_not_done(serve: Any, control: str, forwarded: str) -> None:
    """The model is asked, though the cache knows."""
    known = cache()
    fake = fake_provider_plugin(Reply("ok"))
    async with serve(plugins=[fake, known]) as served, aiohttp.ClientSession() as session:
        await asked(session, served.url)
        await until_stored(known)
        again = await asked(session, served.url, control)
        assert again.headers["cache-status"] == f"localagent; fwd={forwarded}"
        assert len(fake.asked) == 2


WAYS_THAT_ANSWER = [(way, stream) for way, stream in ASKED if not way.path.endswith("count_tokens")]


@pytest.mark.parametrize(("way", "stream"), WAYS_THAT_ANSWER, ids=lambda value: getattr(value, "path", str(value)))
async def test_every_api_says_why_a_model_was_asked(serve: Any, way: Way, stream: bool) -> None:
    """Streams too: none had it, its answer may not be shared, or the request does not want it."""
    body = way.body("Hi", model="fake/m", stream=stream)
    may_share = {"options": {"temperature": 0}} if way.path.startswith("/api") else {"temperature": 0}
    embeds = "embed" in way.path
    async with (
        serve(plugins=[fake_provider_plugin(Reply("ok")), cache()]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        plain = await http.post(way.path, json=body)
        shared = await http.post(way.path, json=body if embeds else {**body, **may_share})
        unwanted = await http.post(way.path, json=body, headers={"cache-control": "no-cache"})
    reported = [one.headers["cache-status"].removeprefix("localagent; ") for one in (plain, shared, unwanted)]
    assert reported == ["fwd=miss" if embeds else "fwd=bypass", reported[1], "fwd=request"]
    assert reported[1].startswith("hit" if embeds else "fwd=miss")


async def test_without_a_cache_nothing_is_said_of_caches(serve: Any) -> None:
    """There is none that could have been passed by."""
    async with serve(plugins=[fake_provider_plugin(Reply("ok"))]) as served, aiohttp.ClientSession() as session:
        assert "cache-status" not in (await asked(session, served.url)).headers


async def test_only_a_cache_may_answer(serve: Any) -> None:
    """Nothing is sent where none knows."""
    fake = fake_provider_plugin(Reply("ok"))
    async with serve(plugins=[fake, cache()]) as served, aiohttp.ClientSession() as session:
        assert (await asked(session, served.url, "only-if-cached")).status == 504
        assert fake.asked == []


async def test_requests_that_share_an_upstream_call_say_so(serve: Any) -> None:
    """All but the one that it is accounted to."""
    release = asyncio.Event()
    fake = fake_provider_plugin(Reply("ok"))

    class Waits(Plugin):
        name = "rate-waits"

        @hookimpl
        async def rate_check(self) -> None:
            await release.wait()

    async with serve(plugins=[fake, Waits, cache()]) as served, aiohttp.ClientSession() as session:
        tasks = [asyncio.ensure_future(asked(session, served.url)) for _ in range(3)]
        while len((await served.client.runtime()).engine.calls) < 3:  # noqa: ASYNC110 - a turn of the loop at a time
            await asyncio.sleep(0)
        release.set()
        reported = [answer.headers.get("cache-status", "") for answer in await asyncio.gather(*tasks)]
    assert sorted(reported) == ["localagent; fwd=miss", SHARED, SHARED]
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("control", "policy"),
    [
        ("no-cache", CachePolicy(lookup=False)),
        ("no-store", CachePolicy(lookup=False, store=False)),
        ("max-age=60", CachePolicy(max_age=60.0)),
        ("Only-If-Cached, Max-Age=5", CachePolicy(only=True, max_age=5.0)),
        ("something-else", CachePolicy()),
    ],
)
def test_the_words_of_cache_control(control: str, policy: CachePolicy) -> None:
    """In any case and order; what nobody knows is left out."""
    assert cache_policy({"cache-control": control}) == policy


def test_an_age_that_is_no_number_is_refused() -> None:
    """As the request's error."""
    with pytest.raises(InvalidRequest):
        cache_policy({"cache-control": "max-age=soon"})


def test_an_age_is_whole_seconds() -> None:
    """As RFC 9111 has it."""
    reported = answer_headers(Response(raw=b"", model="fake/m", cached="cache-dict", age=61.9))
    assert reported == {"x-localagent-model": "fake/m", "cache-status": HIT, "age": "61"}
