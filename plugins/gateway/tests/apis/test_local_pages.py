"""Web pages of programs on this machine: without a key they ask its models, and nothing that costs money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from dialects_under_test import WAYS, Way
from test_security import upstream

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent_gateway.http.origins import LOCAL_PAGE
from localagent_gateway.keys.store import KeyStore
from localagent_testing import FaultServer, WirePlugin

USUAL = [
    "http://localhost", "https://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://127.0.0.1",
    "http://[::1]:5173", "HTTP://LOCALHOST:3000", "app://obsidian.md", "tauri://localhost", "file://",
    "vscode-webview://0abc", "vscode-file://vscode-app",
]  # fmt: skip
FOREIGN = [
    "http://localhost.evil.example", "https://evil.example", "http://localhost@evil.example", "null", "localhost:3000",
    "http://127.0.0.1.evil.example", "http://127.0.0.2:3000", "http://192.168.1.2", "http://localhost:123456",
    "https://evil.example/app://x", "xapp://x", "http://localhost:80/evil", "chrome-extension://abc", "app:/x",
]  # fmt: skip
PAGE = {"origin": "http://localhost:3000"}


class Admin(Plugin):
    """Adds routes that are no business of a page: one that is open, and one for those who are let in."""

    name = "admin"

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        async def done(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            return HttpResponse(200, b"done")

        return [Route("POST", "/admin/reset", done), Route("GET", "/admin/state", done, open=True)]


def settings(url: str) -> dict[str, Any]:
    """Return settings with models of this machine, and others that cost money or may."""
    here = {"type": "wire", "instances": [url]}
    far = url.replace("127.0.0.1", "127.0.0.2")  # another address, which refuses at once and asks no name server
    return {
        "default_model": "up/m",
        "providers": {
            "up": here,
            "keyed": {**here, "keys": [{"env": "PROVIDER_KEY"}]},
            "headed": {**here, "headers": {"x-secret": {"env": "PROVIDER_KEY"}}},
            "far": {"type": "wire", "instances": [far]},
            "mixed": {"type": "wire", "instances": [url, far]},
        },
        "models": {"near": ["up/m"], "both": ["up/m", "far/m"]},
    }


@pytest.fixture(autouse=True)
def provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "sk-of-the-provider")


async def reported(served: Any, model: str, way: Way = WAYS[0], **headers: str) -> httpx.Response:
    """Ask for a model."""
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        return await http.post(way.path, json=way.body("Hi", model=model), headers=headers)


def test_the_usual_origins_are_those_of_ollama() -> None:
    """And what only looks like one is not."""
    assert [origin for origin in USUAL if not LOCAL_PAGE.fullmatch(origin.lower())] == []
    assert [origin for origin in FOREIGN if LOCAL_PAGE.fullmatch(origin.lower())] == []


@pytest.mark.parametrize("origin", USUAL)
async def test_a_page_of_this_machine_may_ask_its_models_and_read_the_answer(serve: Any, origin: str) -> None:
    """Its browser asks before it asks."""
    before = {"origin": origin, "access-control-request-method": "POST"}
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        preflight = await http.options("/api/chat", headers=before)
        answer = await reported(served, "up/m", origin=origin)
    assert (preflight.status_code, answer.status_code) == (204, 200)
    assert {one.headers["access-control-allow-origin"] for one in (preflight, answer)} == {origin}


@pytest.mark.parametrize("way", WAYS[:9], ids=[way.path for way in WAYS[:9]])
async def test_a_page_reaches_nothing_that_costs_money(serve: Any, way: Way) -> None:
    """Neither another machine, nor what needs credentials, nor an alias that may lead there, nor Ollama's cloud."""
    async with FaultServer(upstream) as server, serve(settings(server.url), plugins=[WirePlugin]) as served:
        allowed = [await reported(served, model, way, **PAGE) for model in ("up/m", "near")]
        refused = {
            model: (await reported(served, model, way, **PAGE)).status_code
            for model in ("keyed/m", "headed/m", "far/m", "mixed/m", "both", "up/gpt-oss:120b-cloud", "up/x:cloud")
        }
        own = await reported(served, "keyed/m", way)
    assert [one.status_code for one in allowed] == [200, 200]
    assert set(refused.values()) <= {403, 404}, refused
    assert own.status_code == 200


async def test_a_page_chooses_no_other_model_by_a_field(serve: Any) -> None:
    """As with a key for certain models."""
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, headers=PAGE, trust_env=False) as http,
    ):
        body = {**WAYS[0].body("Hi"), "fallbacks": ["far/m"]}
        assert (await http.post(WAYS[0].path, json=body)).status_code == 403


async def test_a_page_sees_only_the_models_that_it_may_ask(serve: Any) -> None:
    """In every list."""
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, headers=PAGE, trust_env=False) as http,
    ):
        models = [row["id"] for row in (await http.get("/v1/models")).json()["data"]]
        tags = [row["name"] for row in (await http.get("/api/tags")).json()["models"]]
    assert sorted(models) == sorted(tags) == ["near", "up/m"]


async def test_a_page_has_nobody_asked_but_this_machine(serve: Any) -> None:
    """Not even for a list of models: it would cost a question with a key, and hold the page up until it is answered."""
    async with FaultServer(upstream) as server, FaultServer(upstream) as keyed:
        given = settings(server.url)
        given["providers"]["keyed"]["instances"] = [keyed.url]
        async with serve(given, plugins=[WirePlugin]) as served:
            assert (await reported(served, "up/m", **PAGE)).status_code == 200
        assert keyed.requests == []


async def test_a_page_administers_nothing(serve: Any) -> None:
    """Routes of plugins are for those who show a key, or whom the settings name; programs ask as before."""
    async with (
        serve(plugins=[Admin], origins=("https://app.example",)) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for headers, status in ((PAGE, 403), ({}, 200), ({"origin": "https://app.example"}, 200)):
            assert (await http.post("/admin/reset", headers=headers)).status_code == status
            assert (await http.get("/admin/state", headers=headers)).status_code == status
        assert (await http.get("/healthz", headers=PAGE)).status_code == 200


async def test_where_keys_are_needed_a_page_needs_one(serve: Any, keys: KeyStore) -> None:
    """With it the key decides."""
    _, key = keys.create("laptop")
    async with FaultServer(upstream) as server, serve(settings(server.url), plugins=[WirePlugin]) as served:
        found = [(await reported(served, "up/m", **PAGE)).status_code,
                 (await reported(served, "keyed/m", **PAGE, **{"x-api-key": key.reveal()})).status_code]  # fmt: skip
    assert found == [401, 200]


async def test_a_page_under_a_foreign_name_is_refused_all_the_same(serve: Any) -> None:
    """Its origin does not help a name that was resolved to this machine."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, headers=PAGE) as http:
        assert (await http.get("/healthz", headers={"host": "evil.example"})).status_code == 403


@pytest.mark.parametrize("origin", FOREIGN)
async def test_what_only_looks_like_such_a_page_is_refused(serve: Any, origin: str) -> None:
    """Its browser lets it read nothing."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, headers={"origin": origin}) as http:
        answer = await http.get("/api/tags")
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)
