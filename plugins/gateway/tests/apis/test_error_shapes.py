"""An error has the shape of the API that was asked, whatever it is and wherever it occurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import httpx
import pytest

from localagent import LocalAgentError
from localagent.errors import Overloaded, RateLimited, UpstreamServerError
from localagent.plugin_api import HttpRequest
from localagent_gateway.apis.error_shapes import anthropic_error, ollama_error, openai_error, shape_of
from localagent_gateway.keys.store import KeyStore
from localagent_testing import fake_provider_plugin

HI = [{"role": "user", "content": "Hi"}]
VERSION = {"anthropic-version": "2023-06-01"}


@attrs.frozen
class Api:
    """One API: a route of it, a body that is answered there, a path beside it, and what its errors hold."""

    path: str
    body: dict[str, Any]
    strange: str
    check: Callable[[Any], bool]
    headers: dict[str, str] = attrs.field(factory=dict)


def is_openai(reported: Any) -> bool:
    return set(reported) == {"error"} and set(reported["error"]) == {"message", "type", "param", "code"}


def is_ollama(reported: Any) -> bool:
    return set(reported) == {"error"} and isinstance(reported["error"], str)


def is_anthropic(reported: Any) -> bool:
    return set(reported) == {"type", "error", "request_id"} and set(reported["error"]) == {"type", "message"}


MESSAGE = {"model": "fake/m", "max_tokens": 9, "messages": HI}
APIS = {
    "chat": Api("/v1/chat/completions", {"model": "fake/m", "messages": HI}, "/v1/audio/speech", is_openai),
    "completions": Api("/v1/completions", {"model": "fake/m", "prompt": "Hi"}, "/v1/completions/", is_openai),
    "embeddings": Api("/v1/embeddings", {"model": "fake/m", "input": "Hi"}, "/v1/files", is_openai),
    "responses": Api("/v1/responses", {"model": "fake/m", "input": "Hi"}, "/v1/responses/resp_1", is_openai),
    "messages": Api("/v1/messages", MESSAGE, "/v1/messages/batches", is_anthropic),
    "messages of a client": Api("/v1/messages", MESSAGE, "/v1/files", is_anthropic, VERSION),
    "ollama chat": Api("/api/chat", {"model": "fake/m", "messages": HI}, "/api/pull", is_ollama),
    "ollama generate": Api("/api/generate", {"model": "fake/m", "prompt": "Hi"}, "/api/blobs/sha256:1", is_ollama),
    "ollama embed": Api("/api/embed", {"model": "fake/m", "input": "Hi"}, "/api", is_ollama),
}


async def no_key(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json=api.body, headers={"x-api-key": "la-wrong"})


async def scope(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json={**api.body, "model": "fake/other"})


async def not_there(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.strange, json=api.body)


async def wrong_method(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.delete(api.path)


async def too_large(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json={**api.body, "user": "x" * 10_000})


async def too_deep(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, content=b"[" * 3_000)


async def compressed(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, content=b"{}", headers={"content-encoding": "br"})


async def no_json(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, content=b'{"model": ')


async def no_object(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json=[api.body])


async def denied_field(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json={**api.body, "api_base": "http://127.0.0.1:1"})


async def wrong_stream(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json={**api.body, "stream": "yes"})


async def no_cache_age(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json=api.body, headers={"cache-control": "max-age=x"})


async def only_cached(http: httpx.AsyncClient, api: Api) -> httpx.Response:
    return await http.post(api.path, json=api.body, headers={"cache-control": "only-if-cached"})


ASKED: dict[str, tuple[Callable[..., Any], int]] = {
    "no key": (no_key, 401),
    "another model": (scope, 403),
    "nothing there": (not_there, 404),
    "another method": (wrong_method, 405),
    "too large": (too_large, 413),
    "too deep": (too_deep, 413),
    "another encoding": (compressed, 415),
    "no JSON": (no_json, 400),
    "no object": (no_object, 400),
    "a field that is denied": (denied_field, 400),
    "a field of another type": (wrong_stream, 400),
    "a wrong header": (no_cache_age, 400),
    "nothing cached": (only_cached, 504),
}
UPSTREAM = (
    (RateLimited("Too many requests.", retry_after=3.0), 429),
    (Overloaded("Too much to do.", retry_after=3.0), 503),
    (UpstreamServerError("It failed."), 502),
)


@pytest.mark.parametrize("name", APIS)
async def test_a_refusal_has_the_shape_of_the_api(serve: Any, keys: KeyStore, name: str) -> None:
    """From the key to the body's fields, also where nothing is served."""
    api = APIS[name]
    _, key = keys.create(models=["fake/m"])
    headers = {"x-api-key": key.reveal(), **api.headers}
    async with (
        serve(plugins=[fake_provider_plugin()], max_body=5_000, max_depth=20) as served,
        httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http,
    ):
        for kind, (ask, status) in ASKED.items():
            reported = await ask(http, api)
            assert reported.status_code == status, (kind, reported.text)
            assert api.check(reported.json()), (kind, reported.text)


@pytest.mark.parametrize(("error", "status"), UPSTREAM, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", APIS)
async def test_a_failure_of_the_upstream_has_the_shape_of_the_api(
    serve: Any, name: str, error: LocalAgentError, status: int
) -> None:
    """With its status, and the time to wait where one was said."""
    api = APIS[name]
    async with (
        serve(plugins=[fake_provider_plugin(error)]) as served,
        httpx.AsyncClient(base_url=served.url, headers=api.headers, trust_env=False) as http,
    ):
        reported = await http.post(api.path, json=api.body)
    assert reported.status_code == status, reported.text
    assert api.check(reported.json()), reported.text
    assert reported.headers.get("retry-after") == ("3" if error.retry_after else None)


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        ("", {}, openai_error),
        ("/", {}, ollama_error),
        ("/api", {}, ollama_error),
        ("/api/anything/at/all", {}, ollama_error),
        ("/apis", {}, openai_error),
        ("/v1/messages", {}, anthropic_error),
        ("/v1/messages/count_tokens", {}, anthropic_error),
        ("/v1/messages2", {}, openai_error),
        ("/v1/models/none", {}, openai_error),
        ("/v1/models/none", VERSION, anthropic_error),
        ("/healthz", VERSION, anthropic_error),
    ],
)
def test_a_path_tells_the_shape(path: str, headers: dict[str, str], shape: Any) -> None:
    """Before any route is looked for; a client that names Anthropic's version is answered by it in all of /v1."""
    assert shape_of(HttpRequest("GET", path, headers=headers)) is shape
