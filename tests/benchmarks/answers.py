"""What the benchmarks send and what they are answered: fixed bytes, the same for every contender."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

PATH = "/v1/chat/completions"
MODEL = "m"
KEY = "a-key-for-the-loopback"
TEXT = "word " * 80
EVENTS = 200
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": "Name three primary colours. " * 10},
]
LARGE_MESSAGES: list[dict[str, Any]] = [MESSAGES[0], {"role": "user", "content": "Name three primary colours. " * 143}]
"""A conversation that makes a request of about 4 KB."""

_encode = msgspec.json.encode


@functools.cache
def whole_body() -> bytes:
    """Return the body of a complete answer, about 600 bytes."""
    message = {"role": "assistant", "content": TEXT}
    return _encode(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100},
        }
    )


def _event(delta: dict[str, str]) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: " + _encode({**head, "choices": [choice]}) + b"\n\n"


def words(count: int = EVENTS) -> list[str]:
    """Return the texts that a stream of ``count`` events carries: the first and the last event carry none."""
    return [f"word{number} " for number in range(count - 2)]


@functools.cache
def pieces(number: int, count: int = EVENTS) -> tuple[bytes, ...]:
    """Return the bytes of a stream in pieces of whole events.

    Args:
        number: Pieces at most. ``[DONE]`` is an event of its own: ``count + 1`` pieces hold one event each.
        count: Events, without ``[DONE]``.
    """
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words(count)), {}]
    events = [*map(_event, deltas), b"data: [DONE]\n\n"]
    size = -(-len(events) // number)
    return tuple(b"".join(events[start : start + size]) for start in range(0, len(events), size))
