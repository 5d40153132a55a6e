"""What the gateway leaves as it is, and the few things that it changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai_upstreams import forwarding, streamed

from localagent_testing import ReadRequest, Send, answer

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
# White space, escapes, a number's digits, order and unknown fields: all of it is the server's own.
FIRST = rb'{ "vendor":{"b":1.50,"a":[ ]}, "choices": [{"delta":{"content":"h\u00e9"},"index":0,"x":null}] }'
LAST = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"id":"c-1","model":"own name"}'
USAGE = b'{"id":"c-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'


def event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


async def stream_of(serve: Any, script: tuple[Any, ...], **more: Any) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a stream through the gateway, and what the server was asked."""
    async with forwarding(serve, script) as (http, server):
        got = await http.post("/v1/chat/completions", json=ASK | more)
        return got.content, msgspec.json.decode(server.requests[0].body)


async def test_an_event_keeps_the_servers_bytes(serve: Any) -> None:
    """No byte of an event's data is changed, whatever its fields and white space."""
    got, _ = await stream_of(serve, streamed(event(FIRST), event(LAST)))
    assert got == event(FIRST) + event(LAST) + event(b"[DONE]")


async def test_keep_alives_of_the_server_stay_behind(serve: Any) -> None:
    """Comments, event names, ids and carriage returns are the connection's, not the answer's."""
    script = streamed(b": ping\n\n", b"event: x\nid: 1\nretry: 5\ndata: " + FIRST + b"\r\n\r\n", event(LAST))
    got, _ = await stream_of(serve, script)
    assert got == event(FIRST) + event(LAST) + event(b"[DONE]")


@pytest.mark.parametrize(
    "beside",
    [
        b'{}',
        b'{ "object":"keep-alive" }',
        b'{"choices":[],"usage":null}',
        b'{"id":"","choices": [],"prompt_filter_results":[{"prompt_index":0}]}',
        b'{"choices":null,"x":1.50}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("asked", [False, True])
async def test_events_without_choices_keep_their_place_and_bytes(serve: Any, beside: bytes, asked: bool) -> None:
    """Before, between and behind the others; usage that was asked for is reported anyway."""
    events = [beside, FIRST, beside, LAST, beside, *([USAGE] if asked else [])]
    script = streamed(*map(event, events))
    got, _ = await stream_of(serve, script, stream_options={"include_usage": asked})
    assert got == b"".join(map(event, [*events, b"[DONE]"]))


async def test_usage_that_a_server_tells_elsewhere_has_the_head_of_the_stream(serve: Any) -> None:
    """Not that of the event that came last, which may be none of the answer's."""
    last = LAST[:-1] + b',"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":2}}}'
    script = streamed(*map(event, [FIRST, last, b'{"object":"keep-alive"}']))
    got, _ = await stream_of(serve, script, stream_options={"include_usage": True})
    reported = msgspec.json.decode(got.split(b"data: ")[-2])
    assert (reported["id"], reported["choices"], reported["usage"]["total_tokens"]) == ("c-1", [], 5)


async def test_usage_that_was_asked_for_goes_out(serve: Any) -> None:
    """The wish reaches the server, its event reaches the client unchanged."""
    script = streamed(event(FIRST), event(LAST), event(USAGE))
    got, asked = await stream_of(serve, script, stream_options={"include_usage": True, "other": 1})
    assert got == event(FIRST) + event(LAST) + event(USAGE) + event(b"[DONE]")
    assert asked["stream_options"] == {"include_usage": True, "other": 1}


@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": None}])
async def test_usage_that_nobody_asked_for_stays_behind(serve: Any, more: dict[str, Any]) -> None:
    """A server that sends it anyway is heard, but its event is not told."""
    got, asked = await stream_of(serve, streamed(event(FIRST), event(LAST), event(USAGE)), **more)
    assert got == event(FIRST) + event(LAST) + event(b"[DONE]")
    assert asked.get("stream_options") == more.get("stream_options")


async def test_an_error_in_a_stream_becomes_an_error_of_the_gateway(serve: Any) -> None:
    """What came before it goes out unchanged; the server's sentence is quoted; no terminator follows."""
    script = streamed(event(FIRST), event(b'{"error":{"message":"boom","code":500}}'))
    got, _ = await stream_of(serve, script)
    first, error = got.removesuffix(b"\n\n").split(b"\n\n")
    assert first + b"\n\n" == event(FIRST)
    reported = msgspec.json.decode(error.removeprefix(b"data: "))["error"]
    assert reported.keys() == {"message", "type", "param", "code"}
    assert reported["message"] == 'The stream broke off: The server failed (HTTP 500). The server said: "boom"'


async def test_an_answer_keeps_the_servers_bytes(serve: Any) -> None:
    """A whole answer too; the model that answered is named in a header."""
    body = b'{ "choices":[{"message":{"content":"h\\u00e9","vendor":1.0},"index":0, "finish_reason":"stop"}],"x":[ ]}'
    async with forwarding(serve, (ReadRequest(), Send(answer(200, body)))) as (http, _):
        got = await http.post("/v1/chat/completions", json=ASK | {"stream": False})
    assert got.content == body
    assert got.headers["x-localagent-model"] == "up/m"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_unknown_fields_of_a_request_pass(serve: Any, path: str) -> None:
    """A field that nobody here knows reaches the server as it was sent; the model by the server's own name."""
    body = b'{"choices":[{"message":{"content":"x"},"text":"x","index":0,"finish_reason":"stop"}]}'
    sent = {"model": "up/m", "prompt": "p", "top_k": 7, "vendor": {"deep": [1, None, "x"]}, **ASK, "stream": False}
    async with forwarding(serve, (ReadRequest(), Send(answer(200, body)))) as (http, server):
        assert (await http.post(path, json=sent)).status_code == 200
        asked = msgspec.json.decode(server.requests[0].body)
    assert server.requests[0].path == path
    assert asked == {**{name: value for name, value in sent.items() if name != "stream"}, "model": "m"}


async def test_embeddings_in_the_right_encoding_keep_the_servers_bytes(serve: Any) -> None:
    """Nothing is decoded where nothing has to be changed."""
    body = b'{"data": [ {"embedding" : [0.10, 1e-3],"index":0} ],"x":1}'
    async with forwarding(serve, (ReadRequest(), Send(answer(200, body)))) as (http, _):
        got = await http.post("/v1/embeddings", json={"input": "Hi"})
    assert got.content == body
