"""Events of streamed chats, and what they make when they are joined: what the tests of joining and splitting write."""

from __future__ import annotations

import json
from typing import Any

from localagent.schema.joining import join_events

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "tiny"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ARGUMENTS = '{"city": "K\\u00f6ln \\"Süd\\"", "days": 2}'


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def chunk(*choices: Any, **fields: Any) -> bytes:
    """One event of a chat's stream."""
    return encode({**HEAD, "choices": list(choices), **fields})


def said(index: int = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """One choice of an event, with this delta."""
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def called(*pieces: dict[str, Any]) -> bytes:
    """An event with pieces of tool calls."""
    return chunk(said(tool_calls=list(pieces)))


def piece(name: str | None = None, arguments: str | None = None, **fields: Any) -> dict[str, Any]:
    """A piece of a tool call; what is None is left out."""
    function = {"name": name, "arguments": arguments}
    return {**fields, "function": {key: value for key, value in function.items() if value is not None}}


def message(*events: bytes) -> dict[str, Any]:
    """The first choice's message of the answer that the events make."""
    found: dict[str, Any] = join_events(events)["choices"][0]["message"]
    return found


def calls(*events: bytes) -> list[tuple[Any, Any, Any]]:
    """Id, name and arguments of every tool call that the events make."""
    found = message(*events)["tool_calls"]
    return [(call.get("id"), call["function"].get("name"), call["function"].get("arguments")) for call in found]
