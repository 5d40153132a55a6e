"""Who is let in, and in whose words the others are refused."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest

from localagent import Client, Plugin, Principal, hookimpl
from localagent.errors import StartError, Unauthenticated
from localagent.plugin_api import HttpRequest
from localagent_gateway import GatewayPlugin, GatewaySettings
from localagent_gateway.http.sockets import bind
from localagent_gateway.keys.authentication import KeyStep, shown_key
from localagent_gateway.keys.live_keys import KeyTable
from localagent_gateway.keys.store import KeyStore
from localagent_gateway.processes.worker import running
from localagent_gateway.settings import LOOPBACK
from localagent_testing import CANARY_KEY, Reply, fake_provider_plugin

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
#: By the path of a chat: where an API says why it refused.
SHAPES = {
    "/v1/chat/completions": lambda body: (body["error"]["type"], body["error"]["code"]),
    "/api/chat": lambda body: isinstance(body["error"], str),
    "/v1/messages": lambda body: (body["type"], body["error"]["type"]),
}
SHAPED = {
    "/v1/chat/completions": ("authentication_error", "invalid_api_key"),
    "/api/chat": True,
    "/v1/messages": ("error", "authentication_error"),
}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def asked(url: str, headers: Mapping[str, str] | None = None, path: str = "/v1/chat/completions") -> Any:
    async with httpx.AsyncClient(base_url=url) as http:
        return await http.post(path, json={"model": "fake/m", "max_tokens": 5, **CHAT}, headers=headers)


async def test_on_loopback_without_any_key_everybody_may(serve: Any) -> None:
    """Also who shows a key, since most clients must be given one."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        assert (await asked(served.url)).status_code == 200
        assert (await asked(served.url, bearer("none yet"))).status_code == 200


async def test_with_the_first_key_everybody_needs_one(serve: Any, keys: KeyStore) -> None:
    """Nobody without, nobody with a wrong one; the key itself, in either header."""
    _, key = keys.create("laptop")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        assert (await asked(served.url)).status_code == 401
        assert (await asked(served.url, bearer(key.reveal()[:-1] + "!"))).status_code == 401
        assert (await asked(served.url, {"authorization": f"Basic {key.reveal()}"})).status_code == 401
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 200
        assert (await asked(served.url, {"authorization": f"bearer  {key.reveal()}"})).status_code == 200
        assert (await asked(served.url, {"x-api-key": key.reveal()})).status_code == 200


async def test_a_revoked_last_key_does_not_open_the_gateway(serve: Any, keys: KeyStore) -> None:
    """Once a key was created, keys are needed for good."""
    _, key = keys.create("laptop")
    keys.revoke("laptop")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        assert (await asked(served.url)).status_code == 401
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 401


def no_database(folder: Path) -> None:
    (folder / "keys.db").unlink()


def only_pepper(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "pepper":
            path.unlink()


def only_revocations(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "revocations":
            path.unlink()


def no_pepper(folder: Path) -> None:
    (folder / "pepper").unlink()


def other_pepper(folder: Path) -> None:
    (folder / "pepper").write_bytes(bytes(32))


def short_pepper(folder: Path) -> None:
    (folder / "pepper").write_bytes(b"short")


def readable_pepper(folder: Path) -> None:
    (folder / "pepper").chmod(0o644)


def no_sqlite(folder: Path) -> None:
    (folder / "keys.db").write_bytes(b"no database " * 500)


def half_a_database(folder: Path) -> None:
    path = folder / "keys.db"
    path.write_bytes(path.read_bytes()[:5000])


def a_folder(folder: Path) -> None:
    (folder / "keys.db").unlink()
    (folder / "keys.db").mkdir()


def a_link_to_nothing(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "keys.db").symlink_to("elsewhere.db")


def no_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.touch()


def no_table(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "keys.db")) as connection:
        connection.execute("DROP TABLE keys")


DAMAGES = (no_database, only_pepper, only_revocations, no_pepper, other_pepper, short_pepper, readable_pepper,
           no_sqlite, half_a_database, a_folder, a_link_to_nothing, no_folder, no_table)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
async def test_what_is_wrong_with_the_key_files_never_opens_the_gateway(
    serve: Any, keys: KeyStore, tmp_path: Path, damage: Any
) -> None:
    """At a start nothing is served, and one sentence says what to do; a gateway that serves refuses everybody."""
    folder = tmp_path / "state" / "localagent" / "gateway"
    _, key = keys.create("laptop")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        damage(folder)
        with pytest.raises(StartError) as caught:
            async with serve(plugins=[fake_provider_plugin()]):
                pass
        assert caught.value.hint
        assert (await asked(served.url)).status_code in (401, 503)
        assert (await asked(served.url, bearer(key.reveal()[:-1] + "!"))).status_code in (401, 503)


@pytest.mark.parametrize("emptied", ["file", "table"])
async def test_a_store_without_keys_does_not_open_the_gateway(
    serve: Any, keys: KeyStore, tmp_path: Path, emptied: str
) -> None:
    """Its file was cut to nothing, or its rows are gone: it is a store anyway."""
    path = tmp_path / "state" / "localagent" / "gateway" / "keys.db"
    _, key = keys.create("laptop")
    if emptied == "file":
        path.write_bytes(b"")
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM keys")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        assert (await asked(served.url)).status_code == 401
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 401


async def test_a_store_that_vanishes_is_noticed(
    serve: Any, keys: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is removed, or another takes its place, while it is open: the keys in it are good no longer."""
    monkeypatch.setattr("localagent_gateway.keys.live_keys.POLL_SECONDS", 0.0)
    path = tmp_path / "state" / "localagent" / "gateway" / "keys.db"
    _, key = keys.create("laptop")
    async with serve(plugins=[fake_provider_plugin()]) as served:
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 200
        path.unlink()
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 503
        assert (await asked(served.url)).status_code == 503
        _, new = keys.create("new")
        assert (await asked(served.url, bearer(new.reveal()))).status_code == 200
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 401


@pytest.mark.parametrize("damage", [None, only_pepper, no_sqlite], ids=["whole", "only_pepper", "no_sqlite"])
async def test_require_keys_never_means_that(serve: Any, keys: KeyStore, tmp_path: Path, damage: Any) -> None:
    """Everybody on this machine may, whatever there is of keys; the way back after the last one was revoked."""
    _, key = keys.create("laptop")
    keys.revoke("laptop")
    if damage:
        damage(tmp_path / "state" / "localagent" / "gateway")
    async with serve(plugins=[fake_provider_plugin()], require_keys="never") as served:
        assert (await asked(served.url)).status_code == 200
        assert (await asked(served.url, bearer(key.reveal()))).status_code == 200
        assert (await asked(served.url, path=f"/v1/chat/completions?key={key.reveal()}")).status_code == 401


async def test_require_keys_never_is_for_loopback(keys: KeyStore) -> None:
    """Beyond it, and beside a plugin that says who asks, it is refused at the start."""
    keys.create()

    class Badge(Plugin):
        name = "badge"

        @hookimpl(of="gateway")
        async def gateway_authenticate(self, request: HttpRequest) -> Principal | None:
            return None

    for plugins, host in (([], "0.0.0.0"), ([Badge], "127.0.0.1")):
        async with Client({}, plugins=[GatewayPlugin, *plugins]) as client:
            settings = GatewaySettings(host=host, port=0, log="none", require_keys="never")
            with pytest.raises(StartError, match='require_keys = "never"'):
                async with running(client, settings, []):
                    pass


async def test_require_keys_always_means_that(serve: Any) -> None:
    """Also on loopback, also before the first key."""
    async with serve(plugins=[fake_provider_plugin()], require_keys="always") as served:
        assert (await asked(served.url)).status_code == 401


async def test_an_open_route_needs_no_key(serve: Any, keys: KeyStore) -> None:
    """Load balancers ask /healthz without one."""
    keys.create()
    async with serve() as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/v1/models")).status_code == 401


async def test_the_refusal_has_the_shape_of_its_api(serve: Any, keys: KeyStore) -> None:
    """Status 401, the API's own words, how to show a key, and no part of the wrong one."""
    keys.create()
    async with serve() as served:
        known = {route.path for route in served.worker.pipeline.dispatcher.routes.all}
        for path in known & SHAPES.keys():
            answer = await asked(served.url, bearer("la-" + CANARY_KEY), path)
            assert answer.status_code == 401
            assert SHAPES[path](answer.json()) == SHAPED[path]
            assert answer.headers["www-authenticate"] == "Bearer"
            assert CANARY_KEY not in answer.text + repr(answer.headers)


@pytest.mark.parametrize("query", ["key=K", "api_key=K", "API-Key=K", "access_token=K", "foo=K", "K", "K=", "foo&K=1",
                                   "foo=K&foo=1", "foo=1&foo=K&foo=2", "foo=%20K", "foo=+K", "+K=1", "foo=a;b=K",
                                   "foo=a%2526K", "foo=%256ca-K", "%20key%20=x"])  # fmt: skip
async def test_a_key_in_the_address_is_refused(serve: Any, keys: KeyStore, query: str) -> None:
    """Even the right one, whatever its parameter is called: addresses are kept in logs."""
    _, key = keys.create()
    async with serve(plugins=[fake_provider_plugin()]) as served:
        path = f"/v1/chat/completions?{query.replace('K', key.reveal())}"
        answer = await asked(served.url, bearer(key.reveal()), path)
    assert answer.status_code == 401
    assert "address" in answer.json()["error"]["message"]
    assert key.reveal() not in answer.text


async def test_a_key_for_some_models_is_refused_others(serve: Any, keys: KeyStore) -> None:
    """403 for a model that is not the key's, before anything is sent; the list shows only what it may use."""
    fake = fake_provider_plugin(models=("m", "other"))
    _, key = keys.create(models=["fake/other"])
    async with serve(plugins=[fake]) as served:
        refused = await asked(served.url, bearer(key.reveal()))
        async with httpx.AsyncClient(base_url=served.url, headers=bearer(key.reveal())) as http:
            listed = await http.get("/v1/models")
            allowed = await http.post("/v1/chat/completions", json={"model": "fake/other", **CHAT})
            default = await http.post("/v1/chat/completions", json=CHAT)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    assert [row["id"] for row in listed.json()["data"]] == ["fake/other"]
    assert (allowed.status_code, default.status_code) == (200, 403)
    assert len(fake.asked) == 1


async def test_a_call_carries_tenant_models_and_limits_of_its_key(serve: Any, keys: KeyStore) -> None:
    """What limit and cache plugins go by."""
    fake = fake_provider_plugin()
    _, key = keys.create("ci", tenant="team", limits={"requests_per_minute": 3})
    async with serve(plugins=[fake]) as served:
        await asked(served.url, bearer(key.reveal()))
    principal = fake.asked[0].attempt.call.principal
    assert (principal.tenant, principal.models, principal.limits) == ("team", None, {"requests_per_minute": 3})


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.0.2.1"])
async def test_beyond_loopback_nothing_starts_without_keys(host: str) -> None:
    """One sentence, with the command that creates a key."""
    assert host not in LOOPBACK
    async with Client({}, plugins=[GatewayPlugin]) as client:
        with pytest.raises(StartError, match="localagent keys create"):
            async with running(client, GatewaySettings(host=host, port=0, log="none"), []):
                pass


async def test_beyond_loopback_keys_are_needed(keys: KeyStore) -> None:
    """With a key it starts, and nobody is let in without. (The socket itself is on loopback here.)"""
    _, key = keys.create()
    sockets = bind(GatewaySettings(port=0))
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    settings = GatewaySettings(host="0.0.0.0", log="none")
    async with (
        Client({}, plugins=[GatewayPlugin, fake_provider_plugin()]) as client,
        running(client, settings, sockets),
    ):
        assert (await asked(url)).status_code == 401
        assert (await asked(url, bearer(key.reveal()))).status_code == 200


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, ""),
        ({"authorization": "Bearer"}, ""),
        ({"authorization": "Bearer la-x"}, "la-x"),
        ({"authorization": "BEARER la-x"}, "la-x"),
        ({"authorization": "la-x"}, ""),
        ({"authorization": "Basic la-x", "x-api-key": "la-y"}, "la-y"),
        ({"authorization": "Bearer la-x", "x-api-key": "la-y"}, "la-x"),
        ({"x-api-key": " la-y "}, "la-y"),
        ({"cookie": "key=la-x"}, ""),
    ],
)
def test_where_a_key_may_stand(headers: Mapping[str, str], key: str) -> None:
    """In ``Authorization: Bearer``, else in ``x-api-key``, and nowhere else."""
    assert shown_key(headers) == key


async def test_a_query_without_a_key_is_no_matter() -> None:
    """Anthropic's clients send ``?beta=true``."""

    class Nothing:
        pepper = b""
        kept = False

        def changed(self) -> None:
            return None

        def close(self) -> None:
            pass

    step = KeyStep(KeyTable(Nothing(), lambda: 0.0), False, lambda: 0.0)
    assert await step(HttpRequest("POST", "/", query={"beta": "true"})) is not None
    with pytest.raises(Unauthenticated):
        await step(HttpRequest("POST", "/", query={"beta": "la-x"}))


async def test_the_openai_client_raises_authentication_error(serve: Any, keys: KeyStore) -> None:
    """Whole and streamed, synchronous and not."""
    keys.create()
    async with serve(plugins=[fake_provider_plugin(Reply("never"))]) as served:
        base = f"{served.url}/v1"

        def whole() -> None:
            with openai.OpenAI(base_url=base, api_key="sk-wrong") as client:
                client.chat.completions.create(model="", **CHAT)  # type: ignore[arg-type]

        with pytest.raises(openai.AuthenticationError) as caught:
            await asyncio.to_thread(whole)
        assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")
        async with openai.AsyncOpenAI(base_url=base, api_key="sk-wrong") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(model="", stream=True, **CHAT)  # type: ignore[call-overload]
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()


async def test_the_ollama_client_raises_response_error_401(serve: Any, keys: KeyStore) -> None:
    """Whole and streamed; the sentence arrives."""
    keys.create()
    async with serve(plugins=[fake_provider_plugin(Reply("never"))]) as served:
        client = ollama.AsyncClient(served.url, headers=bearer("la-wrong"))
        with pytest.raises(ollama.ResponseError, match="key") as caught:
            await client.chat(model="fake/m", messages=CHAT["messages"])
        assert caught.value.status_code == 401
        with pytest.raises(ollama.ResponseError) as caught:
            async for _ in await client.chat(model="fake/m", messages=CHAT["messages"], stream=True):
                pass
        assert caught.value.status_code == 401
        await client._client.aclose()
