"""Writes OpenAI's event streams: the upstream's data bytes, unchanged except for usage that was not requested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, Usage
from localagent_gateway.apis.error_shapes import openai_error_object

Document = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_HEAD = ("id", "object", "created", "model")


class EventWriter:
    """Writes one stream of chat or completion chunks.

    Args:
        with_usage: Whether the client requested the event that only has token counts.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, *, with_usage: bool = False) -> None:
        self._with_usage = with_usage
        self._usage_sent = False
        self._last = b"{}"

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return one event per chunk."""
        if self._with_usage:  # events of a server that are not part of the answer have no id
            self._last = next((chunk.data for chunk in reversed(chunks) if b'"id"' in chunk.data), self._last)
        if len(chunks) == 1 and chunks[0].text:
            return b"data: %b\n\n" % chunks[0].data
        return b"".join([b"data: %b\n\n" % chunk.data for chunk in chunks if chunk.text or self._wanted(chunk.data)])

    def end(self, stream: AnswerStream) -> bytes:
        """Return the usage, if it was requested and not sent yet, and the terminator."""
        if self._with_usage and not self._usage_sent and stream.usage is not None:
            return b"data: %b\n\ndata: [DONE]\n\n" % _encode(self._usage_event(stream.usage))
        return b"data: [DONE]\n\n"

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the error as an event, without a terminator: only this makes official clients raise."""
        return b"data: %b\n\n" % _encode(openai_error_object(error))

    def _wanted(self, data: bytes) -> bool:
        """Return whether to send an event without text: always, except for usage alone that was not requested."""
        if b'"usage"' not in data:
            return True
        event = msgspec.json.decode(data)
        if event.get("usage") is None:
            return True
        self._usage_sent = True
        return self._with_usage or bool(event.get("choices"))

    def _usage_event(self, usage: Usage) -> Document:
        """Return the usage event for a stream from a cache, or from a server that reports the usage elsewhere."""
        last = msgspec.json.decode(self._last)
        head = {name: last[name] for name in _HEAD if name in last}
        return {**head, "choices": [], "usage": usage_object(usage)}


def usage_object(usage: Usage) -> Document:
    """Return token counts as chats and completions name them; what was not reported is 0, as clients need numbers."""
    return {
        "prompt_tokens": usage.prompt_tokens or 0,
        "completion_tokens": usage.completion_tokens or 0,
        "total_tokens": usage.total_tokens or 0,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
