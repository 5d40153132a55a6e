"""The same messages in both protocols, right and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from localagent_testing.http_bytes import NDJSON, SSE, ndjson, sse

FIRST, SECOND = "Hello", " world"
TEXT = FIRST + SECOND


class Dialect(Protocol):
    """Builds the bytes of one protocol.

    Attributes:
        prefix: The end of a provider's base address.
        stream_type: Content type of a stream.
        quiet: Bytes of a stream without content, such as a comment.
        endless: The beginning of an event of a stream whose text never ends.
    """

    prefix: str
    stream_type: str
    quiet: bytes
    endless: bytes

    def error(self, message: str, *, kind: str | None = None, code: str | None = None, param: str | None = None) -> Any:
        """Return the body of an error."""

    def completion(self, text: str = TEXT) -> dict[str, Any]:
        """Return a complete answer."""

    def opening(self) -> bytes:
        """Return the first event of a stream; it carries no content."""

    def text(self, text: str) -> bytes:
        """Return an event that carries text."""

    def ending(self) -> Sequence[bytes]:
        """Return the events that end a stream well."""

    def failure(self, message: str, *, kind: str = "server_error", code: str | None = None) -> bytes:
        """Return an event that reports a failure."""


def openai_chunk(
    delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    """Return the data of an event with one choice; a delta of None leaves it out."""
    choice: dict[str, Any] = {"index": index, "finish_reason": finish}
    if delta is not None:
        choice["delta"] = delta
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "faulty",
        "choices": [choice],
        **more,
    }


def openai_usage(prompt: int, completion: int) -> dict[str, int]:
    """Return a usage record."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class OpenAI:
    """Chat Completions: JSON answers, server-sent events."""

    prefix = "/v1"
    stream_type = SSE
    quiet = b": keep-alive\n\n"
    endless = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"'

    def error(self, message: str, *, kind: str | None = None, code: str | None = None, param: str | None = None) -> Any:
        """Return ``{"error": {message, type, param, code}}``."""
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def completion(self, text: str = TEXT) -> dict[str, Any]:
        """Return a ``chat.completion``."""
        message = {"role": "assistant", "content": text}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "faulty",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": openai_usage(3, 2),
        }

    def opening(self) -> bytes:
        """Return a chunk with only the role."""
        return sse([openai_chunk({"role": "assistant", "content": ""})])

    def text(self, text: str) -> bytes:
        """Return a chunk with text."""
        return sse([openai_chunk({"content": text})])

    def ending(self) -> Sequence[bytes]:
        """Return the chunk with the finish reason, and ``[DONE]``."""
        return (sse([openai_chunk({}, "stop")]), sse(["[DONE]"]))

    def failure(self, message: str, *, kind: str = "server_error", code: str | None = None) -> bytes:
        """Return ``data: {"error": ...}``."""
        return sse([self.error(message, kind=kind, code=code)])


def ollama_line(text: str | None, **more: Any) -> dict[str, Any]:
    """Return one line of a stream; a text of None leaves the message's content out."""
    message = {"role": "assistant"} if text is None else {"role": "assistant", "content": text}
    return {"model": "faulty", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False, **more}


def ollama_end(text: str = "", reason: str = "stop") -> dict[str, Any]:
    """Return the last line of a stream, which is also the form of a complete answer."""
    counts = {"prompt_eval_count": 3, "prompt_eval_duration": 1000, "eval_count": 2, "eval_duration": 1000}
    times = {"total_duration": 5000, "load_duration": 1000}
    return ollama_line(text, done=True, done_reason=reason, **times, **counts)


class Ollama:
    """Ollama's own ``/api/chat``: JSON answers, one JSON document per line."""

    prefix = ""
    stream_type = NDJSON
    quiet = b"\n"
    endless = b'{"model":"faulty","done":false,"message":{"role":"assistant","content":"'

    def error(self, message: str, *, kind: str | None = None, code: str | None = None, param: str | None = None) -> Any:
        """Return ``{"error": message}``; Ollama has no types and codes."""
        return {"error": message}

    def completion(self, text: str = TEXT) -> dict[str, Any]:
        """Return a complete answer."""
        return ollama_end(text)

    def opening(self) -> bytes:
        """Return a line with empty content."""
        return ndjson([ollama_line("")])

    def text(self, text: str) -> bytes:
        """Return a line with text."""
        return ndjson([ollama_line(text)])

    def ending(self) -> Sequence[bytes]:
        """Return the line with ``done: true``."""
        return (ndjson([ollama_end()]),)

    def failure(self, message: str, *, kind: str = "server_error", code: str | None = None) -> bytes:
        """Return ``{"error": message}`` on a line."""
        return ndjson([self.error(message)])


DIALECTS: dict[str, Dialect] = {"openai": OpenAI(), "ollama": Ollama()}


def whole(dialect: Dialect, texts: Iterable[str] = (FIRST, SECOND)) -> list[bytes]:
    """Return the events of a correct stream."""
    return [dialect.opening(), *map(dialect.text, texts), *dialect.ending()]
