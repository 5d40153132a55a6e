"""``/openapi.json`` describes what is really served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import httpx

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent_gateway.apis.openapi import document
from localagent_testing import fake_provider_plugin


async def answers(incoming: HttpRequest, principal: Principal) -> HttpResponse:
    return HttpResponse(200, b"{}")


class Adding(Plugin):
    """Adds two routes, one that describes itself and one that does not."""

    name = "gateway-adding"

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        return [
            Route("GET", "/added/{rest}", answers),
            Route(
                "POST", "/told", answers, describe={"summary": "Tell.", "responses": {"200": {"description": "Told."}}}
            ),
        ]


async def described(serve: Any) -> tuple[dict[str, Any], Sequence[Route]]:
    """Return the document that a gateway with an added plugin serves, and its routes."""
    async with serve(plugins=[fake_provider_plugin(), Adding]) as served, httpx.AsyncClient() as http:
        answer = await http.get(f"{served.url}/openapi.json")
        assert answer.status_code == 200
        return answer.json(), served.worker.pipeline.dispatcher.routes.all


async def test_every_route_is_in_it_and_nothing_else(serve: Any) -> None:
    """Its operations are the served ones, those of plugins and its own included."""
    reported, routes = await described(serve)
    operations = {(method.upper(), path) for path, methods in reported["paths"].items() for method in methods}
    assert operations == {(route.method, route.path) for route in routes}
    assert {("GET", "/openapi.json"), ("POST", "/told"), ("GET", "/added/{rest}")} < operations


async def test_every_route_of_the_gateway_is_described_where_it_is_declared(serve: Any) -> None:
    """No route of its own falls back to the general description."""
    reported, routes = await described(serve)
    general = reported["paths"]["/added/{rest}"]["get"]["summary"]
    summaries = {route.path: reported["paths"][route.path][route.method.lower()]["summary"] for route in routes}
    assert [path for path, summary in summaries.items() if summary == general] == ["/added/{rest}"]


async def test_what_it_lists_is_served_and_nothing_else(serve: Any) -> None:
    """Each listed method finds its handler; other methods and other paths are refused."""
    fake = fake_provider_plugin()
    async with (
        serve(plugins=[fake, Adding]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        paths = (await http.get("/openapi.json")).json()["paths"]
        for path, methods in paths.items():
            for method in {"get", "post", "put", "delete", *methods}:
                found = await http.request(method, path.replace("{id}", "fake/m").replace("{rest}", "x"), json={})
                assert (found.status_code not in (404, 405)) is (method in methods), (method, path)
        assert (await http.get("/v1/listed/nowhere")).status_code == 404


async def test_every_reference_leads_somewhere(serve: Any) -> None:
    """Each schema that is referred to is there."""
    reported, _ = await described(serve)
    references = set(re.findall(r"'#/components/schemas/(\w+)'", repr(reported)))
    assert references <= set(reported["components"]["schemas"])
    assert references > {"ChatRequest", "OpenAIError", "OllamaError"}


async def test_what_a_route_says_of_itself_counts(serve: Any) -> None:
    """``Route.describe`` stands over the general description; errors are described for all."""
    reported, _ = await described(serve)
    operation = reported["paths"]["/told"]["post"]
    assert operation["summary"] == "Tell."
    assert set(operation["responses"]) == {"200", "4XX", "5XX"}
    assert reported["paths"]["/added/{rest}"]["get"]["parameters"][0]["name"] == "rest"


def test_open_routes_ask_for_no_key() -> None:
    """A route that answers without a key says so; others need one."""
    paths = document([Route("GET", "/open", answers, open=True), Route("GET", "/closed", answers)])["paths"]
    assert paths["/open"]["get"]["security"] == []
    assert "security" not in paths["/closed"]["get"]
