"""The bytes of every answer, recorded: a change of what clients read is a change of a file.

``LOCALAGENT_UPDATE_GOLDENS=1 pytest plugins/gateway/tests/test_recorded_bytes.py`` writes the files again; a review
reads their diff.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dialects_under_test import ASKED, NAMES, Way
from openai_upstreams import settings_for

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

FOLDER = Path(__file__).parent / "recorded"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"what": "tea"}'}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
# What changes with time, port or chance.
CHANGING = [
    (rb"(?m)^Date: .*\r$", b"Date: DATE\r"),
    (rb"(?m)^Content-Length: .*\r$", b"Content-Length: SIZE\r"),
    (rb"[0-9a-f]{8}-\d+", b"ID"),
    (rb'"(created|created_at|completed_at)":\d{9,}(\.\d+)?', rb'"\1":0'),
    (rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", b"TIME"),
    (rb'"(total|load|prompt_eval|eval)_duration":\d+', rb'"\1_duration":0'),
    (rb"127\.0\.0\.1:\d+", b"127.0.0.1:PORT"),
]
OTHERS: dict[str, tuple[str, str, Any]] = {
    "models": ("GET", "/v1/models", None),
    "model": ("GET", "/v1/models/up/m", None),
    "no-model": ("GET", "/v1/models/up/other", None),
    "tags": ("GET", "/api/tags", None),
    "show": ("POST", "/api/show", {"model": "up/m"}),
    "version": ("GET", "/api/version", None),
    "root": ("GET", "/", None),
    "health": ("GET", "/healthz", None),
    "nothing-there": ("GET", "/v1/nothing", None),
    "wrong-method": ("GET", "/v1/chat/completions", None),
    "no-json": ("POST", "/v1/messages", b"{"),
    "unknown-model": ("POST", "/api/chat", {"model": "none/x", "messages": [{"role": "user", "content": "Hi"}]}),
}


def upstream(received: ReceivedRequest) -> Script:
    """Answer with text, or with a call of a tool when one is offered; fail when the prompt asks for it."""
    if received.path.endswith("/models"):
        return (ReadRequest(), Send(answer(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})))
    body = json.loads(received.body or b"{}")
    if "fail" in json.dumps(body):
        return (ReadRequest(), Send(answer(500, {"error": {"message": "The fan stopped.", "type": "server_error"}})))
    if received.path.endswith("/embeddings"):
        rows = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]
        return (ReadRequest(), Send(answer(200, {"object": "list", "data": rows, "usage": USAGE})))
    chat = received.path.endswith("/chat/completions")
    made = streamed(chat=chat, tools="tools" in body) if body.get("stream") else whole(chat=chat, tools="tools" in body)
    return (ReadRequest(), Send(made))


def whole(*, chat: bool, tools: bool) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": None if tools else "Hello there."}
    if tools:
        message["tool_calls"] = [CALL]
    content = {"message": message} if chat else {"text": "Hello there."}
    choice = {"index": 0, **content, "finish_reason": "tool_calls" if tools else "stop"}
    return answer(200, {"id": "up-1", "created": 1, "model": "m", "choices": [choice], "usage": USAGE})


def streamed(*, chat: bool, tools: bool) -> bytes:
    if tools:
        deltas: list[dict[str, Any]] = [{"role": "assistant"}, {"tool_calls": [{"index": 0, **CALL}]}]
    else:
        deltas = [{"role": "assistant", "content": ""}, {"content": "Hello "}, {"content": "there."}]
    contents = [{"delta": delta} for delta in deltas] if chat else [{"text": "Hello "}, {"text": "there."}]
    end = {"index": 0, **({"delta": {}} if chat else {"text": ""}), "finish_reason": "tool_calls" if tools else "stop"}
    choices: list[list[dict[str, Any]]] = [[{"index": 0, **one, "finish_reason": None}] for one in contents]
    events = [{"id": "up-1", "created": 1, "model": "m", "choices": choice} for choice in [*choices, [end]]]
    events.append({"id": "up-1", "created": 1, "model": "m", "choices": [], "usage": USAGE})
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    return opening + chunked([sse([event]) for event in events] + [sse(["[DONE]"])])


async def exchanged(url: str, method: str, path: str, body: Any) -> bytes:
    """Send a request over a connection of its own and return all that comes back, without what changes by itself."""
    where = urlsplit(url)
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + sent)
    got = await reader.read()
    writer.close()
    await writer.wait_closed()
    for pattern, stable in CHANGING:
        got = re.sub(pattern, stable, got)
    return re.sub(rb"(?m)^[0-9a-f]+\r\n(?=\S)", b"SIZE\r\n", got)  # of chunks, whose text had ids and times


def check(name: str, got: bytes) -> None:
    path = FOLDER / f"{name.replace('/', '-')}.http"
    text = got.decode().replace("\r\n", "\n")
    if os.environ.get("LOCALAGENT_UPDATE_GOLDENS") == "1":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("way", "stream"), ASKED, ids=NAMES)
async def test_answers(serve: Any, way: Way, *, stream: bool) -> None:
    """A text and a failure in every API that asks a model, whole and streamed; where there are tools, a call."""
    async with (
        FaultServer(upstream) as server,
        serve(settings_for(server.url), plugins=[WirePlugin]) as served,
    ):
        bodies = [way.body("Hello", stream=stream), way.body("Please fail", stream=stream)]
        if way.path in {"/v1/chat/completions", "/api/chat"}:
            bodies.append(way.body("Hello", stream=stream) | {"tools": [TOOL]})
        if way.path == "/v1/messages":
            tool = {"name": "look_up", "input_schema": {"type": "object", "properties": {}}}
            bodies.append(way.body("Hello", stream=stream) | {"tools": [tool]})
        got = [await exchanged(served.url, "POST", way.path, body) for body in bodies]
    check(f"{way.path.strip('/')}{'-streamed' if stream else ''}", b"\n\n----\n\n".join(got))


@pytest.mark.parametrize("name", OTHERS)
async def test_other_routes(serve: Any, name: str) -> None:
    """Lists, probes, and requests that cannot be answered."""
    async with (
        FaultServer(upstream) as server,
        serve(settings_for(server.url), plugins=[WirePlugin]) as served,
    ):
        check(name, await exchanged(served.url, *OTHERS[name]))
