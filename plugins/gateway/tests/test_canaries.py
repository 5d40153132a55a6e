"""Keys, prompts and what upstreams say about them are in no log line, header, metric or error body.

The client's and the provider's key and the prompt are canaries. Every log record down to DEBUG, the access log, the
headers of every answer, every metric, and the body of every error are searched for them, whole and in half.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from dialects_under_test import ASKED, WAYS, Way
from openai_upstreams import settings_for

from localagent import Metric, Plugin, hookimpl
from localagent_gateway.keys.store import KeyStore
from localagent_testing import (
    CANARY_KEY,
    CANARY_PROMPT,
    Canaries,
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

ECHO = f"Wrong key {CANARY_KEY} for the prompt: {CANARY_PROMPT}"
CLIENT_KEY = f"la-{CANARY_KEY}"


class Watching(Plugin):
    """Hands every metric to the search for canaries."""

    name = "metrics-watching"
    canaries: Canaries

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.canaries.watch(metric)


def echoing(status: int) -> Callable[[ReceivedRequest], Script]:
    """An upstream that fails and repeats key and prompt in all that it says."""
    error = {"error": {"message": ECHO, "type": ECHO, "code": CANARY_KEY, "param": CANARY_PROMPT}, "detail": ECHO}
    headers = {"X-Request-Id": CANARY_KEY, "X-Prompt": CANARY_PROMPT, "Retry-After": CANARY_KEY}
    return lambda received: (ReadRequest(), Send(answer(status, error, headers)))


def garbling(received: ReceivedRequest) -> Script:
    """An upstream whose answer is not JSON."""
    return (ReadRequest(), Send(answer(200, ECHO.encode())))


def breaking(received: ReceivedRequest) -> Script:
    """An upstream whose stream says an error after its first content; a whole answer holds it instead of one."""
    error = {"error": {"message": ECHO, "type": CANARY_KEY, "code": CANARY_KEY}}
    if not json.loads(received.body or b"{}").get("stream"):
        return (ReadRequest(), Send(answer(200, error)))
    first = {"id": "c", "choices": [{"index": 0, "delta": {"content": "ok"}, "text": "ok", "finish_reason": None}]}
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(opening + chunked([sse([first]), sse([error])])))


UPSTREAMS: dict[str, Callable[[ReceivedRequest], Script]] = {
    **{str(status): echoing(status) for status in (401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503)},
    "garbled": garbling,
    "broken": breaking,
}


def settings(url: str) -> dict[str, Any]:
    """Return settings whose provider has the canary as its key, and is asked once."""
    found = settings_for(url)
    found["providers"]["up"]["keys"] = [{"env": "PROVIDER_KEY"}]
    return found


def watching(canaries: Canaries) -> type[Plugin]:
    return type("Watching", (Watching,), {"canaries": canaries})


@pytest.mark.parametrize("said", UPSTREAMS)
async def test_nothing_of_key_and_prompt_is_told(
    serve: Any, canaries: Canaries, *, monkeypatch: pytest.MonkeyPatch, capfd: Any, said: str
) -> None:
    """Whatever an upstream answers, in every API that asks it, whole and streamed."""
    monkeypatch.setenv("PROVIDER_KEY", CANARY_KEY)
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "x-localagent-details": "1"}
    async with (
        FaultServer(UPSTREAMS[said]) as server,
        serve(settings(server.url), plugins=[WirePlugin, watching(canaries)], log="all") as served,
        httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http,
    ):
        for way, stream in ASKED:
            reported = await http.post(way.path, json=way.body(CANARY_PROMPT, stream=stream))
            assert reported.status_code >= 400 or (stream and said == "broken"), way.path
            for text in (reported.text, repr(reported.headers.raw)):
                assert text
                canaries.watch(text)
        asked = [one for one in server.requests if one.method == "POST"]
    assert len(asked) >= len(ASKED) - 1  # to count tokens nobody is asked
    assert all(CANARY_KEY in (one.header("authorization") or "") for one in asked)  # the canaries do fly
    assert all(CANARY_PROMPT.encode() in one.body for one in asked)
    lines = capfd.readouterr().err
    assert lines.count("request_id") >= len(ASKED)
    canaries.watch(lines)


async def test_nothing_of_a_wrong_key_is_told(serve: Any, keys: KeyStore, canaries: Canaries, *, capfd: Any) -> None:
    """The refusal, the log and the headers hold neither the key that was shown nor the prompt, in any API."""
    keys.create()
    async with serve(log="all") as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        for way, stream in ASKED:
            for headers in ({"authorization": f"Bearer {CLIENT_KEY}"}, {"x-api-key": CLIENT_KEY}):
                reported = await http.post(way.path, json=way.body(CANARY_PROMPT, stream=stream), headers=headers)
                assert reported.status_code == 401, way.path
                canaries.watch(reported.text + repr(reported.headers.raw))
    canaries.watch(capfd.readouterr().err)


@pytest.mark.parametrize("way", WAYS, ids=[way.path for way in WAYS])
async def test_nothing_of_a_wrong_body_is_told(serve: Any, canaries: Canaries, capfd: Any, way: Way) -> None:
    """What cannot be read, or is refused, is not repeated."""
    bodies = [
        b'{"messages": "' + CANARY_PROMPT.encode(),
        json.dumps(CANARY_PROMPT).encode(),
        json.dumps({**way.body(CANARY_PROMPT), "api_key": CANARY_KEY}).encode(),
        json.dumps({**way.body(CANARY_PROMPT), "stream": CANARY_PROMPT}).encode(),
        json.dumps({**way.body("Hi"), way.prompt: {CANARY_PROMPT: CANARY_KEY}}).encode(),
        json.dumps({**way.body("Hi"), way.prompt: 5, "system": {CANARY_PROMPT: 1}}).encode(),
    ]
    async with (
        serve(log="all") as served,
        httpx.AsyncClient(base_url=served.url, headers={"x-api-key": CANARY_KEY}, trust_env=False) as http,
    ):
        for body in bodies:
            reported = await http.post(way.path, content=body)
            assert 400 <= reported.status_code < 500, body
            canaries.watch(reported.text + repr(reported.headers.raw))
    canaries.watch(capfd.readouterr().err)


async def test_a_good_key_is_told_nowhere(
    serve: Any, keys: KeyStore, canaries: Canaries, capfd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither where it is let in, nor where it may not use the model, nor where it asks for what is not there."""
    record, key = keys.create(models=["fake/m"])
    secret = key.reveal()[14:]
    paths = ("/v1/chat/completions", "/v1/nothing", "/nothing")
    async with (
        serve(log="all") as served,
        httpx.AsyncClient(base_url=served.url, headers={"x-api-key": key.reveal()}, trust_env=False) as http,
    ):
        reported = [await http.post(path, json=WAYS[0].body(CANARY_PROMPT, model="other/m")) for path in paths]
    assert [one.status_code for one in reported] == [403, 404, 404]
    texts = [one.text + repr(one.headers.raw) for one in reported]
    for text in (*texts, capfd.readouterr().err, caplog.text):
        canaries.watch(text)
        assert secret[:20] not in text
        assert secret[20:] not in text
    assert record.id not in capfd.readouterr().err


OWN_KEY = f"la-abcdefghij-{CANARY_KEY[3:]}"
ESCAPED = "".join(f"%{ord(char):02x}" for char in OWN_KEY)
LINES = {
    "a path": f"GET /{OWN_KEY} HTTP/1.1",
    "a path with escapes": f"GET /{ESCAPED} HTTP/1.1",
    "a path with escapes of escapes": f"GET /{ESCAPED.replace('%', '%25')} HTTP/1.1",
    "a path with blanks": f"GET /v1/%20{OWN_KEY[:20]}%20{OWN_KEY[20:]}%09 HTTP/1.1",
    "a path behind many others": f"GET /{'a/' * 90}{OWN_KEY} HTTP/1.1",
    "a path with raw blanks": f"GET /v1/Bearer {OWN_KEY} HTTP/1.1",
    "a scheme": f"GET /Bearer%20{CANARY_KEY[3:]} HTTP/1.1",
    "a model": f"GET /v1/models/{OWN_KEY} HTTP/1.1",
    "a model of a provider": f"GET /v1/models/up/{CANARY_KEY[10:]} HTTP/1.1",
    "another method": f"DELETE /v1/models/{OWN_KEY} HTTP/1.1",
    "a method": f"{OWN_KEY.upper()} /v1/models HTTP/1.1",
    "a value": f"GET /v1/models?x={OWN_KEY} HTTP/1.1",
    "a name": f"GET /v1/models?{OWN_KEY}=1 HTTP/1.1",
    "a name alone": f"GET /nothing?{OWN_KEY} HTTP/1.1",
    "a repeated parameter": f"GET /v1/models?key={OWN_KEY}&key=x&key={OWN_KEY} HTTP/1.1",
    "a query in the path": f"GET /v1/models%3Fkey={CANARY_KEY[3:]} HTTP/1.1",
    "a whole address": f"GET http://127.0.0.1/{OWN_KEY} HTTP/1.1",
    "a user": f"GET http://{OWN_KEY}@127.0.0.1/ HTTP/1.1",
    "no path": f"GET {OWN_KEY} HTTP/1.1",
    "a version": f"GET / {OWN_KEY}",
    "a body that does not come": f"POST /{OWN_KEY} HTTP/1.1\r\nContent-Length: 5",
    "an encoding": f"POST /{OWN_KEY} HTTP/1.1\r\nContent-Length: 5\r\nContent-Encoding: {OWN_KEY}",
    "a foreign host": f"GET /{OWN_KEY} HTTP/1.1\r\nX-Host: {OWN_KEY}",
    "an upgrade": f"GET /{OWN_KEY} HTTP/1.1\r\nUpgrade: {OWN_KEY}",
    "headers": f"GET / HTTP/1.1\r\nReferer: http://h/?key={OWN_KEY}\r\nUser-Agent: {OWN_KEY}\r\nCookie: {OWN_KEY}",
}


@pytest.mark.parametrize("keyed", [False, True], ids=["open", "keys are needed"])
async def test_no_key_in_the_address_is_told(
    serve: Any, keys: KeyStore, canaries: Canaries, capfd: Any, keyed: bool
) -> None:
    """Neither in the log nor in the answer, wherever it stands in the first lines of a request."""
    if keyed:
        keys.create()
    async with serve(log="all", body_timeout=0.2) as served:
        host, port = served.url.removeprefix("http://").split(":")
        for place, line in LINES.items():
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            reported = (await reader.read()).decode()
            assert reported.startswith("HTTP/1."), place
            canaries.watch(reported.lower().replace("q7vt2mxw9lb", CANARY_KEY))  # the method came in capitals
            canaries.watch(reported)
            writer.close()
            await writer.wait_closed()
    lines = capfd.readouterr().err
    assert lines.count("request_id") >= 15
    canaries.watch(lines)
    canaries.watch(lines.lower().replace("q7vt2mxw9lb", CANARY_KEY))
