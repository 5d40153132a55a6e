"""What the settings name is listed whatever upstreams do, and one that fails hides no part of the others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from localagent_gateway.apis import service
from localagent_gateway.keys.store import KeyStore
from localagent_testing import FaultServer, ReadRequest, ReceivedRequest, Script, Send, Stall, WirePlugin, answer

ALIASES = {"fast": ["up/small", "up/large"], "spare": ["other/m"]}
GOOD = [{"id": "good"}, 7, None, "x", {"id": ""}]
NO_LIST = {
    "refuses": (ReadRequest(), Send(answer(404, {"error": "no"}))),
    "fails": (ReadRequest(), Send(answer(500, {"error": "no"}))),
    "garbage": (ReadRequest(), Send(answer(200, "<html>"))),
    "hangs": (ReadRequest(), Stall()),
}


def settings(up: str, other: str, **more: Any) -> dict[str, Any]:
    providers = {name: {"type": "wire", "instances": [url]} for name, url in (("up", up), ("other", other))}
    return {"providers": providers, "models": ALIASES, "default_model": "up/small", **more}


async def listed(http: httpx.AsyncClient) -> list[str]:
    """Return the names that the lists of all APIs show; they are the same."""
    openai = [row["id"] for row in (await http.get("/v1/models")).json()["data"]]
    ollama = [row["name"] for row in (await http.get("/api/tags")).json()["models"]]
    anthropic = (await http.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()["data"]
    assert openai == ollama == [row["id"] for row in anthropic]
    return openai


@pytest.mark.parametrize("damage", [*NO_LIST, "is down"])
async def test_what_the_settings_name_is_listed_whatever_upstreams_do(
    serve: Any, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aliases, their targets and the default model, in the list of every API and by themselves."""
    monkeypatch.setattr(service, "LIST_SECONDS", 0.1)
    async with FaultServer(NO_LIST.get(damage, ())) as server:
        url = server.url if damage in NO_LIST else "http://127.0.0.1:9"
        async with (
            serve(settings(url, url), plugins=[WirePlugin]) as served,
            httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
        ):
            assert await listed(http) == ["fast", "spare", "up/small", "up/large", "other/m"]
            for name in ("fast", "fast:latest", "up/large"):
                assert (await http.post("/api/show", json={"model": name})).status_code == 200
            for name in ("fast", "other/m"):
                assert (await http.get(f"/v1/models/{name}")).json()["id"] == name
            assert (await http.get("/v1/models/nothing")).status_code == 404
            assert (await http.get("/api/ps")).json() == {"models": []}


@pytest.mark.parametrize("damage", NO_LIST)
async def test_one_upstream_without_a_list_hides_nothing_of_the_others(
    serve: Any, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The healthy one's models are there; an invalid row hides no other."""
    monkeypatch.setattr(service, "LIST_SECONDS", 0.5)

    def script(received: ReceivedRequest) -> Script:
        good = (ReadRequest(), Send(answer(200, {"data": GOOD})))
        return good if received.path.startswith("/other") else NO_LIST[damage]

    async with (
        FaultServer(script) as server,
        serve(settings(server.url + "/up", server.url + "/other"), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        assert await listed(http) == ["fast", "spare", "other/good", "up/small", "up/large"]


async def test_a_key_for_some_models_sees_only_those_of_the_settings(serve: Any, keys: KeyStore) -> None:
    """Also while no upstream answers."""
    _, key = keys.create(models=["fast", "other/m"])
    async with (
        serve(settings("http://127.0.0.1:9", "http://127.0.0.1:9"), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False, headers={"x-api-key": key.reveal()}) as http,
    ):
        assert await listed(http) == ["fast", "other/m"]


async def test_without_any_name_the_failure_is_told(serve: Any) -> None:
    """An empty list would say that all is well."""
    async with (
        serve({"providers": {"up": {"type": "wire", "instances": ["http://127.0.0.1:9"]}}}, plugins=[WirePlugin]) as on,
        httpx.AsyncClient(base_url=on.url, trust_env=False) as http,
    ):
        assert (await http.get("/v1/models")).status_code == 502
