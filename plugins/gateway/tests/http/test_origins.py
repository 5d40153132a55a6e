"""Behind a reverse proxy on the same machine: a good key works under any name, and a page of that name may ask."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from localagent_gateway.http.origins import same_origin
from localagent_gateway.keys.store import KeyStore
from localagent_testing import fake_provider_plugin

BODY = {"model": "fake/m", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/v1/chat/completions"
HOSTS = ["chat.example", "CHAT.example:8443", "[2001:db8::1]", "[2001:DB8::1]:443", "192.0.2.7:80", "chat.example."]
FORWARDED = {"x-forwarded-host": "chat.example", "x-forwarded-proto": "https", "forwarded": "host=chat.example"}
SAME = [
    ("http://chat.example", "chat.example"),
    ("https://chat.example", "chat.example"),
    ("https://chat.example", "chat.example:443"),
    ("https://chat.example:443", "chat.example"),
    ("http://chat.example:80", "chat.example"),
    ("https://Chat.Example:8443", "chat.exAMPLE:8443"),
    ("http://[2001:db8::1]:8400", "[2001:DB8::1]:8400"),
    ("https://[2001:db8::1]", "[2001:db8::1]:443"),
    ("http://[::1]:8400", "[::1]:8400"),
]
OTHER = [
    ("https://evil.example", "chat.example"),
    ("https://chat.example:8443", "chat.example"),
    ("https://chat.example", "chat.example:80"),
    ("http://chat.example:443", "chat.example"),
    ("https://chat.example.evil.example", "chat.example"),
    ("https://user@chat.example", "chat.example"),
    ("https://chat.example@evil.example", "evil.example@chat.example"),
    ("ftp://chat.example", "chat.example"),
    ("chat.example", "chat.example"),
    ("null", "null"),
    ("null", ""),
    ("http://", ""),
    ("", ""),
    ("file://", ""),
    ("http://[::1]:8400", "[::1]:8401"),
]


async def statuses(served: Any, requests: list[dict[str, str]], path: str = CHAT) -> list[int]:
    """Return what each request is answered with, by its headers."""
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        return [(await http.post(path, json=BODY, headers=headers)).status_code for headers in requests]


async def test_with_a_good_key_any_host_is_served(serve: Any, keys: KeyStore) -> None:
    """A wrong key and no key are refused for that reason; routes that are open are so under any name."""
    _, key = keys.create("laptop")
    good, wrong = {"x-api-key": key.reveal()}, {"authorization": f"Bearer {key.reveal()[:-1]}!"}
    async with serve(plugins=[fake_provider_plugin()]) as served:
        for host in HOSTS:
            found = await statuses(served, [{"host": host, **more} for more in (good, wrong, {}, FORWARDED)])
            assert found == [200, 401, 401, 401], host
        async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
            for path in ("/healthz", "/", "/openapi.json"):
                assert (await http.get(path, headers={"host": "chat.example"})).status_code == 200


@pytest.mark.parametrize("more", [{"require_keys": "always"}, {"host": "127.0.0.1"}], ids=["always", "a key exists"])
async def test_the_first_request_is_no_exception(serve: Any, keys: KeyStore, more: dict[str, Any]) -> None:
    """Whether keys are needed is known before any key was looked up."""
    _, key = keys.create("laptop")
    async with serve(plugins=[fake_provider_plugin()], **more) as served:
        assert await statuses(served, [{"host": "chat.example", "x-api-key": key.reveal()}]) == [200]


async def test_a_key_that_is_created_later_counts(serve: Any, keys: KeyStore) -> None:
    """Without keys a foreign host is refused; as soon as the first key is known, the key decides."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        before = await statuses(served, [{"host": "chat.example"}])
        _, key = keys.create("laptop")
        sent = [{"host": "chat.example", "x-api-key": key.reveal()}, {"host": "chat.example"}]
        while (after := await statuses(served, sent))[0] == 403:
            pass
    assert (before, after) == ([403], [200, 401])


@pytest.mark.parametrize(("origin", "host"), SAME)
async def test_a_page_of_the_host_that_it_asks_may_ask(serve: Any, keys: KeyStore, origin: str, host: str) -> None:
    """With a good key; the default port may be named or not, and letters may be of either case."""
    _, key = keys.create("laptop")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        sent = {"host": host, "origin": origin}
        assert await statuses(served, [{**sent, "x-api-key": key.reveal()}, sent]) == [200, 401]


@pytest.mark.parametrize(("origin", "host"), OTHER)
async def test_a_page_of_another_host_may_not_ask(serve: Any, keys: KeyStore, origin: str, host: str) -> None:
    """Also with a good key, and whatever the request says about a proxy."""
    _, key = keys.create("laptop")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        sent = {"origin": origin, "host": "chat.example", "x-api-key": key.reveal()}
        forwarded = {"x-forwarded-host": origin.partition("://")[2] or "x", "x-forwarded-proto": "https"}
        found = await statuses(served, [sent, {**sent, **forwarded}]) if host == "chat.example" else [403, 403]
    assert found == [403, 403]
    assert not same_origin(origin, host)


async def test_without_keys_both_checks_stay(serve: Any) -> None:
    """A foreign name that is resolved to this machine is the origin of its own page, and is refused anyway."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        port = served.url.rpartition(":")[2]
        rebound = {"host": f"evil.example:{port}", "origin": f"http://evil.example:{port}"}
        own = {"host": f"127.0.0.1:{port}", "origin": f"http://127.0.0.1:{port}"}
        neighbour = {**own, "origin": "http://127.0.0.2:3000"}
        found = await statuses(served, [rebound, {"host": "evil.example"}, FORWARDED | rebound, neighbour, own])
    assert found == [403, 403, 403, 403, 200]
