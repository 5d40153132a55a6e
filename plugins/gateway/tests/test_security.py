"""What a client, or a web page, can try: choose where a request goes, pass headers on, send too much."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from dialects_under_test import ASKED, NAMES, WAYS, Way
from openai_upstreams import settings_for

from localagent_gateway.apis.bodies import DENIED
from localagent_gateway.keys.store import KeyStore
from localagent_testing import (
    FaultServer,
    ReadRequest,
    ReceivedRequest,
    Script,
    Send,
    WirePlugin,
    answer,
    chunked,
    head,
    sse,
)

PROVIDER_KEY = "sk-of-the-provider"
TELLTALE = "passed-on"

#: What a client may send beside the body; none of it is the upstream's business.
CLIENT_HEADERS = {
    "Accept-Encoding": "br",
    "Anthropic-Beta": TELLTALE,
    "Connection": "keep-alive, x-listed",
    "Cookie": TELLTALE,
    "Forwarded": f"for={TELLTALE}",
    "Keep-Alive": TELLTALE,
    "OpenAI-Organization": TELLTALE,
    "Proxy-Authorization": TELLTALE,
    "Proxy-Connection": TELLTALE,
    "TE": "trailers",
    "Traceparent": TELLTALE,
    "User-Agent": TELLTALE,
    "X-Api-Key": TELLTALE,
    "X-Forwarded-For": TELLTALE,
    "X-Forwarded-Host": TELLTALE,
    "X-Listed": TELLTALE,
    "X-Own": TELLTALE,
    "X-Request-Id": TELLTALE,
}
UPSTREAM_HEADERS = {"Set-Cookie": TELLTALE, "X-Own": TELLTALE, "Server": TELLTALE, "Openai-Organization": TELLTALE,
                    "X-Request-Id": TELLTALE, "Www-Authenticate": TELLTALE}  # fmt: skip


def upstream(received: ReceivedRequest) -> Script:
    """Answer whatever is asked: models, vectors, texts and chats, whole or streamed."""
    body = json.loads(received.body or b"{}")
    if received.path.endswith("/models"):
        return (ReadRequest(), Send(answer(200, {"data": [{"id": "m"}]}, UPSTREAM_HEADERS)))
    if received.path.endswith("/embeddings"):
        return (ReadRequest(), Send(answer(200, {"data": [{"index": 0, "embedding": [1.0]}]}, UPSTREAM_HEADERS)))
    said = "delta" if body.get("stream") else "message"
    choice = {"index": 0, said: {"content": "ok"}, "text": "ok", "finish_reason": "stop"}
    document = {"id": "c", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    if not body.get("stream"):
        return (ReadRequest(), Send(answer(200, document, UPSTREAM_HEADERS)))
    opening = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **UPSTREAM_HEADERS}
    return (ReadRequest(), Send(head(200, opening) + chunked([sse([document]), sse(["[DONE]"])])))


def settings(url: str) -> dict[str, Any]:
    """Return settings with a provider that has a key."""
    found = settings_for(url)
    found["providers"]["up"]["keys"] = [{"env": "PROVIDER_KEY"}]
    return found


@pytest.fixture(autouse=True)
def provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", PROVIDER_KEY)


@pytest.mark.parametrize(("way", "stream"), ASKED, ids=NAMES)
async def test_no_header_passes_in_either_direction(serve: Any, keys: KeyStore, way: Way, stream: bool) -> None:
    """The upstream gets the provider's own headers and no other, the client the gateway's: not hop-by-hop, not keys."""
    _, key = keys.create()
    sent = {**CLIENT_HEADERS, "Authorization": f"Bearer {key.reveal()}"}
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, headers=sent, trust_env=False) as http,
    ):
        reported = await http.post(way.path, json=way.body("Hi", stream=stream))
        requests = [one for one in server.requests if one.method == "POST"]
        host = server.url.removeprefix("http://")
    asks_nobody = way.path.endswith("count_tokens")  # refused: no plugin here counts tokens
    assert reported.status_code == (400 if asks_nobody else 200), reported.text
    assert TELLTALE not in repr(reported.headers)
    for request in requests:
        assert {name.lower() for name, _ in request.headers} <= {
            "accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host",
            "user-agent",
        }  # fmt: skip
        assert request.header("authorization") == f"Bearer {PROVIDER_KEY}"
        assert (request.header("host"), request.header("accept-encoding")) == (host, "identity")
        assert TELLTALE not in repr(request.headers)
        assert key.reveal() not in repr(request)
    assert bool(requests) is not asks_nobody


@pytest.mark.parametrize("way", WAYS, ids=[way.path for way in WAYS])
async def test_no_field_chooses_host_key_or_header(serve: Any, way: Way) -> None:
    """Every name by which other gateways let a body choose them is refused with 400, and nobody is asked."""
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for field in sorted(DENIED):
            reported = await http.post(way.path, json={**way.body("Hi"), field: "http://127.0.0.1:1"})
            assert reported.status_code == 400, field
            assert field in reported.text
        assert [one for one in server.requests if one.method == "POST"] == []


async def test_no_header_or_query_chooses_a_target(serve: Any) -> None:
    """Headers and parameters by which other gateways are steered do nothing here."""
    steering = {"x-portkey-custom-host": "http://127.0.0.1:1", "x-portkey-provider": "evil", "x-base-url": "http://e",
                "x-localagent-target": "evil", "openai-base-url": "http://e"}  # fmt: skip
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, headers=steering, trust_env=False) as http,
    ):
        reported = await http.post("/v1/chat/completions?api_base=http://127.0.0.1:1", json=WAYS[0].body("Hi"))
        assert reported.status_code == 200
        assert len([one for one in server.requests if one.path == "/v1/chat/completions"]) == 1


#: Fields by which upstream routers are told to use other models, and other spellings that lenient ones understand.
ROUTING_FIELDS = (
    "models", "route", "provider", "fallbacks", "litellm_params", "extra_body", "targets", "fallback_models", "router",
    "plugins", "transforms", "preset", "context_window_fallbacks", "providerOptions", "model_group", "user_config",
    "deployment_id", "engine", "adapter_id", "lora_request", "draft_model", "extra_query", "Model", "MODELS",
    "model\u017f", "fallbackModels",
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=[way.path for way in WAYS])
async def test_no_field_reaches_a_model_beyond_a_keys_scope(serve: Any, keys: KeyStore, way: Way) -> None:
    """Upstream routers take other models from fields of the body: refused for keys with a scope; nobody is asked."""
    _, key = keys.create(models=["up/m"])
    headers = {"authorization": f"Bearer {key.reveal()}"}
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http,
    ):
        for field in ROUTING_FIELDS:
            for nested in ({field: ["up/other"]}, {"options": {field: ["up/other"]}}):
                reported = await http.post(way.path, json={**way.body("Hi"), **nested})
                assert reported.status_code in (400, 403), (field, nested)
                if way.path.startswith(("/v1/chat", "/v1/comp", "/v1/emb", "/v1/resp")):
                    assert (reported.status_code, reported.json()["error"]["code"]) == (403, "not_allowed"), (
                        reported.text
                    )
        assert [one for one in server.requests if one.method == "POST"] == []
        allowed = await http.post(way.path, json=way.body("Hi"))
        assert allowed.status_code == (400 if way.path.endswith("count_tokens") else 200)


@pytest.mark.parametrize("scoped", [True, False])
async def test_what_a_scope_leaves_alone_is_passed_on(serve: Any, keys: KeyStore, scoped: bool) -> None:
    """Parameters of samplers pass with any key; a key for all models may also tell an upstream router where to go."""
    _, key = keys.create(models=["up/m"] if scoped else None)
    free = {"top_k": 3, "min_p": 0.1, "metadata": {"provider": "mine"}, "guided_json": {}, "reasoning_effort": "low",
            "modalities": ["text"], "prompt_cache_key": "k", "chat_template_kwargs": {}, "options": {"num_gpu": 1},
            "service_tier": "auto", "stream_options": {"include_usage": True}, "exploration": 1}  # fmt: skip
    fields = free if scoped else free | {"models": ["a", "b"], "provider": {"order": ["x"]}}
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, headers={"x-api-key": key.reveal()}, trust_env=False) as http,
    ):
        for stream in (False, True):
            reported = await http.post("/v1/chat/completions", json={**WAYS[0].body("Hi", stream=stream), **fields})
            assert reported.status_code == 200, reported.text
            assert fields.items() <= json.loads(server.requests[-1].body).items()


@pytest.mark.parametrize(
    ("model", "status"),
    [("http://127.0.0.1:1/v1", 404), ("../up/m", 404), ("up@evil/m", 404), ("//evil/m", 400), ("evil/m", 404)],
)
async def test_no_name_of_a_model_chooses_a_host(serve: Any, model: str, status: int) -> None:
    """A model is a name of the settings, and nothing else."""
    async with (
        FaultServer(upstream) as server,
        serve(settings(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        reported = await http.post("/v1/chat/completions", json=WAYS[0].body("Hi", model=model))
        assert reported.status_code == status
        assert server.requests == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "localhost"])
async def test_a_foreign_page_is_refused(serve: Any, origin: str) -> None:
    """A page that makes the browser of the gateway's owner ask gets 403, whatever it asks for."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, headers={"origin": origin}) as http:
        for method, path in (("POST", "/v1/chat/completions"), ("OPTIONS", "/v1/models"), ("GET", "/healthz")):
            assert (await http.request(method, path)).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}], ids=["page", "host"]
)
async def test_a_refusal_has_the_words_of_the_api_that_was_asked(serve: Any, headers: dict[str, str]) -> None:
    """Though no route was looked for."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        reported = [(await http.post(path, headers=headers)).json() for path in
                ("/v1/chat/completions", "/v1/messages", "/api/chat")]  # fmt: skip
    assert (reported[0]["error"]["type"], reported[1]["error"]["type"]) == ("permission_error", "permission_error")
    assert (reported[1]["type"], isinstance(reported[2]["error"], str)) == ("error", True)


async def test_a_page_of_the_settings_may_ask(serve: Any) -> None:
    """Its origin is named in ``origins``; upper case and a slash at the end do not matter."""
    async with serve(origins=("https://App.example/",)) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/healthz", headers={"origin": "https://app.example"})).status_code == 200
        assert (await http.get("/healthz", headers={"origin": "http://app.example"})).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8400", "127.0.0.1.evil.example", "[::2]", "[", "0.0.0.0"]
)
async def test_a_foreign_host_is_refused(serve: Any, host: str) -> None:
    """A name that somebody else resolved to this machine (DNS rebinding) is not ours."""
    async with serve() as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/healthz", headers={"host": host})).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8400", "box.lan"])
async def test_a_host_of_ours_is_served(serve: Any, host: str) -> None:
    """Loopback names, and those of ``hosts``."""
    async with serve(hosts=("box.lan",)) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("way", WAYS, ids=[way.path for way in WAYS])
async def test_what_is_too_large_or_too_deep_is_refused(serve: Any, way: Way) -> None:
    """413 for the body's bytes, depth and values, 415 for compression, 400 for messages, and for what is not JSON."""
    deep: Any = "x"
    for _ in range(30):
        deep = [deep]
    compressed = {"content-encoding": "gzip"}
    async with (
        serve(max_body=10_000, max_depth=20, max_messages=5, max_values=150) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):

        async def status(**sent: Any) -> int:
            return (await http.post(way.path, **sent)).status_code

        assert await status(json=way.body("x" * 20_000)) == 413
        assert await status(content=gzip.compress(b"{}"), headers=compressed) == 415
        assert await status(json={**way.body("Hi"), "extra": deep}) == 413
        assert await status(json={**way.body("Hi"), "extra": [[]] * 200}) == 413
        assert await status(content=b'{"model": NaN}') == 400
        assert await status(content=b"[]") == 400
        assert await status(content=b"\xff\xfe") == 400
        assert await status(content=b"[" * 9_000) == 413
        if way.as_messages:
            assert await status(json={**way.body("Hi"), "messages": way.body("Hi")["messages"] * 6}) == 400


async def test_a_body_of_unknown_length_is_limited_too(serve: Any) -> None:
    """413 as soon as too much came, and not only when the length was announced."""

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1_000

    async with serve(max_body=10_000) as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        assert (await http.post("/v1/chat/completions", content=endless())).status_code == 413


async def test_two_tenants_share_no_principal(serve: Any, keys: KeyStore) -> None:
    """Calls of two keys are two tenants to caches, limits and figures."""
    from localagent_testing import fake_provider_plugin

    fake = fake_provider_plugin()
    made = [keys.create(name)[1] for name in ("ada", "bob")]
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        for key in made:
            headers = {"x-api-key": key.reveal()}
            await http.post("/v1/chat/completions", json=WAYS[0].body("Hi", model="fake/m"), headers=headers)
    tenants = [asked.attempt.call.principal.tenant for asked in fake.asked]
    assert tenants == [record.id for record in keys.records()]
    assert len(set(tenants)) == 2
