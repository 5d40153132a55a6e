"""What another plugin can do: say who asks, and add routes. The plugins here stand for those of third parties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from localagent import Client, Plugin, Principal, hookimpl
from localagent.errors import PluginError, Unauthenticated
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway import GatewayPlugin
from localagent_gateway.keys.store import KeyStore
from localagent_testing import CANARY_PROMPT, fake_provider_plugin


class Badge(Plugin):
    """Lets in who shows a badge; sends away who shows a torn one."""

    name = "zz-badge"  # by its name it would stand behind the gateway

    @hookimpl(of="gateway")
    async def gateway_authenticate(self, request: HttpRequest) -> Principal | None:
        badge = request.headers.get("x-badge")
        if badge == "torn":
            raise Unauthenticated("This badge is torn.")
        return Principal(tenant=badge) if badge else None


class Times(Plugin):
    """Adds a route with a rest, and one that is open."""

    name = "times"

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        async def whole(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            text = f"{incoming.method} {incoming.params['rest']} of {principal.tenant}: {incoming.body.decode()}"
            return HttpResponse(201, text.encode(), {"x-times": "yes"}, "text/plain")

        return [Route("POST", "/times/{rest}", whole), Route("GET", "/open", _parts, open=True)]


class _Parts:
    ended = False

    def __init__(self) -> None:
        self._left = [b"one ", b"two"]

    async def read_chunk(self) -> bytes:
        return self._left.pop(0) if self._left else b""

    async def aclose(self) -> None:
        self._left.clear()


async def _parts(incoming: HttpRequest, principal: Principal) -> HttpStream:
    return HttpStream(_Parts(), "text/plain")


def adding(*routes: object, name: str = "other") -> type[Plugin]:
    """A plugin that adds these routes."""

    class Adding(Plugin):
        @hookimpl(of="gateway")
        def gateway_add_routes(self) -> Sequence[Any]:
            return list(routes)

    Adding.name = name
    return Adding


async def test_other_plugins_are_asked_first_and_own_keys_last(serve: Any, keys: KeyStore) -> None:
    """A badge lets in without a key, a key without a badge; ``explain`` says why the gateway stands last."""
    _, key = keys.create("laptop", tenant="laptops")
    async with serve(plugins=[Badge, Times]) as served, httpx.AsyncClient(base_url=served.url) as http:
        by_badge = await http.post("/times/x", headers={"x-badge": "ada", "x-api-key": "wrong"})
        by_key = await http.post("/times/x", headers={"x-api-key": key.reveal()})
        by_none = await http.post("/times/x")
        steps = (await served.client.runtime()).pipeline.steps["gateway_authenticate"]
    assert [by_badge.text, by_key.text] == ["POST x of ada: ", "POST x of laptops: "]
    assert by_none.status_code == 401
    assert [(step.plugin, step.why) for step in steps][-1] == ("gateway", "gateway must run after *")


async def test_a_step_may_say_why_it_refuses(serve: Any, keys: KeyStore) -> None:
    """Its sentence is the answer, and no later step is asked."""
    _, key = keys.create()
    async with serve(plugins=[Badge, Times]) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.post("/times/x", headers={"x-badge": "torn", "x-api-key": key.reveal()})
    assert answer.status_code == 401
    assert "This badge is torn." in answer.json()["error"]["message"]


async def test_a_plugin_that_says_who_asks_closes_the_gateway(serve: Any) -> None:
    """Also on loopback, before any key: whom it does not know is refused."""
    async with serve(plugins=[Badge, Times]) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.post("/times/x")).status_code == 401
        assert (await http.post("/times/x", headers={"x-badge": "ada"})).status_code == 201


async def test_a_step_that_fails_lets_nobody_in(serve: Any) -> None:
    """The plugin is named; what it raised is not told."""

    class Broken(Plugin):
        name = "broken"

        @hookimpl(of="gateway")
        async def gateway_authenticate(self, request: HttpRequest) -> Principal | None:
            raise ValueError(CANARY_PROMPT)

    async with serve(plugins=[Broken]) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.get("/v1/models")
    assert answer.status_code == 500
    assert "broken" in answer.json()["error"]["message"]
    assert CANARY_PROMPT not in answer.text


async def test_settings_cannot_put_own_keys_first(serve: Any) -> None:
    """The place of the gateway's own step is not a matter of taste."""
    order = {"gateway_authenticate": ["gateway", "zz-badge"]}
    with pytest.raises(PluginError, match="must run after"):
        async with Client({"order": order}, plugins=[GatewayPlugin, Badge]):
            pass


async def test_routes_of_a_plugin_are_served(serve: Any) -> None:
    """Body, rest of the path, status and headers pass; a body may come in parts."""
    async with (
        serve(plugins=[Times, fake_provider_plugin()]) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answer = await http.post("/times/a/b", content="body")
        streamed = await http.get("/open")
        missing = await http.get("/times/a")
    assert (answer.status_code, answer.text, answer.headers["x-times"]) == (201, "POST a/b of : body", "yes")
    assert streamed.text == "one two"
    assert missing.status_code == 405


async def test_a_path_that_is_taken_is_refused_at_start(serve: Any) -> None:
    """The gateway's own, one below an own ``{id}``, and another plugin's: the later plugin is named."""
    for path in ("/v1/models", "/v1/models/{name}", "/v1/models/mine"):
        with pytest.raises(PluginError, match=f"Plugin other adds GET {path}, which already exists"):
            async with serve(plugins=[adding(Route("GET", path, _parts))]):
                pass
    with pytest.raises(PluginError, match="Plugin second adds"):
        async with serve(plugins=[adding(Route("GET", "/x", _parts), name=name) for name in ("first", "second")]):
            pass


async def test_one_path_may_have_methods_of_two(serve: Any) -> None:
    """A method that nobody else answers is free."""
    added = adding(Route("DELETE", "/v1/models/{id}", _parts, open=True))
    async with serve(plugins=[added]) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.delete("/v1/models/m")).text == "one two"
        assert (await http.get("/v1/models")).status_code == 200


@pytest.mark.parametrize("added", ["no route", Route("GET", "relative", _parts)])
async def test_what_is_no_route_is_refused_at_start(serve: Any, added: object) -> None:
    """The plugin is named."""
    with pytest.raises(PluginError, match="Plugin other adds an invalid route"):
        async with serve(plugins=[adding(added)]):
            pass


async def test_a_plugin_that_fails_to_add_is_refused_at_start(serve: Any) -> None:
    """The plugin is named."""

    class Broken(Plugin):
        name = "broken"

        @hookimpl(of="gateway")
        def gateway_add_routes(self) -> Sequence[Route]:
            raise ValueError(CANARY_PROMPT)

    with pytest.raises(PluginError, match="Plugin broken failed in gateway_add_routes: ValueError"):
        async with serve(plugins=[Broken]):
            pass


async def test_a_handler_that_fails_or_answers_nonsense_is_a_500(serve: Any) -> None:
    """In the words of an API, with the request's id, and without what it raised."""

    async def raising(incoming: HttpRequest, principal: Principal) -> HttpResponse:
        raise ValueError(CANARY_PROMPT)

    async def nonsense(incoming: HttpRequest, principal: Principal) -> Any:
        return CANARY_PROMPT

    added = adding(Route("GET", "/raising", raising), Route("GET", "/nonsense", nonsense))
    async with serve(plugins=[added]) as served, httpx.AsyncClient(base_url=served.url) as http:
        for path in ("/raising", "/nonsense"):
            answer = await http.get(path)
            assert answer.status_code == 500
            assert answer.json()["error"]["type"] == "server_error"
            assert CANARY_PROMPT not in answer.text
