"""Methods: what a path answers, what it says about that, and HEAD wherever there is GET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.keys.store import KeyStore
from localagent_testing import fake_provider_plugin

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CHANGING = {"date", "x-request-id"}


class BodyStream:
    """The body of a stream; counts what was read of it, and whether it was closed."""

    read = 0
    closed = 0

    async def read_chunk(self) -> bytes:
        type(self).read += 1
        return b"" if self.read > 1 else b"data: 1\n\n"

    async def aclose(self) -> None:
        type(self).closed += 1


class Added(Plugin):
    """Adds routes of several methods: one with a HEAD of its own, one that streams, one that only takes."""

    name = "added"

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        async def text(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            return HttpResponse(200, b"hello", {"x-own": "yes"}, "text/plain")

        async def head(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            return HttpResponse(200, b"", {"x-own": "head"}, "text/plain")

        async def stream(incoming: HttpRequest, principal: Principal) -> HttpStream:
            return HttpStream(BodyStream(), "text/event-stream")

        return [
            Route("GET", "/added/text", text),
            Route("PUT", "/added/text", text),
            Route("GET", "/added/head", text),
            Route("HEAD", "/added/head", head),
            Route("GET", "/added/stream", stream),
            Route("DELETE", "/added/rest/{name}", text),
        ]


PATHS = {
    "/": "GET, HEAD, OPTIONS",
    "/healthz": "GET, HEAD, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
    "/v1/models": "GET, HEAD, OPTIONS",
    "/v1/models/fake/m": "GET, HEAD, OPTIONS",
    "/v1/chat/completions": "OPTIONS, POST",
    "/v1/messages": "OPTIONS, POST",
    "/api/chat": "OPTIONS, POST",
    "/api/tags": "GET, HEAD, OPTIONS",
    "/added/text": "GET, HEAD, OPTIONS, PUT",
    "/added/head": "GET, HEAD, OPTIONS",
    "/added/rest/a/b": "DELETE, OPTIONS",
}


@pytest.mark.parametrize(("path", "allow"), PATHS.items())
async def test_a_path_answers_the_methods_that_it_says(serve: Any, path: str, allow: str) -> None:
    """405 names exactly those that are not answered with 405; OPTIONS names the same, without a body."""
    async with (
        serve(plugins=[fake_provider_plugin(), Added]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        reported = {method: await http.request(method, path) for method in METHODS}
    refused = {method for method, answer in reported.items() if answer.status_code == 405}
    assert set(METHODS) - refused == set(allow.split(", "))
    assert {reported[method].headers["allow"] for method in refused} == {allow}
    options = reported["OPTIONS"]
    assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", allow)


@pytest.mark.parametrize("path", [path for path, allow in PATHS.items() if "GET" in allow and path != "/added/head"])
async def test_head_is_get_without_the_body(serve: Any, path: str) -> None:
    """The same status and headers, the length of the body included, and the connection goes on in step."""
    async with (
        serve(plugins=[fake_provider_plugin(), Added]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        head, get, again = [await http.request(method, path) for method in ("HEAD", "GET", "HEAD")]
    heads = [{k: v for k, v in one.headers.items() if k not in CHANGING} for one in (head, get, again)]
    assert (head.status_code, heads[0], head.content) == (get.status_code, heads[1], b"")
    assert heads[2] == heads[0]
    assert int(head.headers["content-length"]) == len(get.content) > 0


async def test_a_head_of_its_own_comes_before_that_of_get(serve: Any) -> None:
    """A plugin may answer it in another way."""
    async with serve(plugins=[Added]) as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        assert (await http.head("/added/head")).headers["x-own"] == "head"


async def test_head_reads_nothing_of_a_stream(serve: Any) -> None:
    """It is closed anyway."""
    BodyStream.read = BodyStream.closed = 0
    async with serve(plugins=[Added]) as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        head = await http.head("/added/stream")
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "text/event-stream", b"")
    assert (BodyStream.read, BodyStream.closed) == (0, 1)


async def test_head_needs_the_key_that_get_needs(serve: Any, keys: KeyStore) -> None:
    """A refusal has no body either; OPTIONS says only what 405 says to everybody."""
    _, key = keys.create()
    async with (
        serve(plugins=[fake_provider_plugin()]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        reported = [await http.head("/v1/models", headers=headers) for headers in ({}, {"x-api-key": key.reveal()})]
        options = await http.options("/v1/models")
    assert [(one.status_code, one.content) for one in reported] == [(401, b""), (200, b"")]
    assert options.status_code == 204


@pytest.mark.parametrize("method", METHODS)
async def test_where_there_is_nothing_no_method_is_allowed(serve: Any, method: str) -> None:
    """404, also for OPTIONS."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        reported = await http.request(method, "/nothing")
    assert (reported.status_code, "allow" in reported.headers) == (404, False)


@pytest.mark.parametrize(
    ("path", "keys_of_body"),
    [
        ("/v1/messages", {"type", "error", "request_id"}),
        ("/v1/messages/count_tokens", {"type", "error", "request_id"}),
        ("/v1/messages/batches", {"type", "error", "request_id"}),
        ("/api/chat", {"error"}),
        ("/api/nothing", {"error"}),
    ],
)
async def test_a_wrong_method_or_path_is_told_in_the_words_of_its_neighbours(
    serve: Any, path: str, keys_of_body: set[str]
) -> None:
    """405 as the other methods of the path, 404 as the nearest path."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        reported = await http.delete(path)
    assert reported.status_code in (404, 405)
    assert set(reported.json()) == keys_of_body
    assert isinstance(reported.json()["error"], str) == path.startswith("/api")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models/none"), ("PUT", "/v1/models"), ("GET", "/elsewhere")])
async def test_on_a_path_of_two_apis_an_error_has_the_words_of_its_client(serve: Any, method: str, path: str) -> None:
    """Clients of Anthropic's API name its version."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        reported = [(await http.request(method, path, headers=headers)).json() for headers in
                ({"anthropic-version": "2023-06-01"}, {})]  # fmt: skip
    assert [set(one) for one in reported] == [{"type", "error", "request_id"}, {"error"}]
