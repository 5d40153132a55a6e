"""Ollama's answers in its own format, each read with one typed decode.

Only the fields that the pipeline needs are read. A field with another type than Ollama documents is a protocol error.
"""

from __future__ import annotations

from typing import Any

import msgspec

NOTHING, NULL = msgspec.Raw(b""), msgspec.Raw(b"null")
NO_ARGUMENTS = msgspec.Raw(b"{}")


class Function(msgspec.Struct, gc=False):
    """The function of a tool call; ``arguments`` is a JSON object, or its text from some proxies."""

    name: str
    arguments: msgspec.Raw = NO_ARGUMENTS


class ToolCall(msgspec.Struct, gc=False):
    """A tool call, always complete."""

    function: Function
    id: str | None = None


class Message(msgspec.Struct, gc=False):
    """The message of a chat's answer, or a piece of it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None


class Alternative(msgspec.Struct, gc=False):
    """A token that could have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(msgspec.Struct, gc=False):
    """The token that was chosen, and the alternatives; the OpenAI schema has the same shape."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[Alternative] = []


class Counts(msgspec.Struct, gc=False):
    """Token counts and durations (in nanoseconds) of an answer. Any may be missing."""

    load_duration: float | None = None
    prompt_eval_count: float | None = None
    prompt_eval_duration: float | None = None
    eval_count: float | None = None
    eval_duration: float | None = None


class Answer(Counts, gc=False):
    """An answer of ``/api/chat`` or ``/api/generate``, or one line of a streamed one."""

    message: Message | None = None
    response: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    model: str | None = None
    logprobs: list[Logprob] | None = None
    error: Any = None


class Embeddings(Counts, gc=False):
    """An answer of ``/api/embed``; vectors are kept as raw JSON text."""

    embeddings: list[msgspec.Raw] | None = None
    model: str | None = None
    error: msgspec.Raw = NOTHING


class Tag(msgspec.Struct):
    """A model of ``/api/tags`` or ``/api/ps``."""

    name: str = ""
    model: str = ""
    digest: str = ""
    size: int | None = None
    size_vram: int | None = None
    expires_at: str | None = None
    context_length: int | None = None
    details: dict[str, Any] | None = None


class Tags(msgspec.Struct):
    """The answer of ``/api/tags`` or ``/api/ps``; rows are read one by one, so a damaged one hides no other."""

    models: list[Any] | None = None

    def readable(self) -> list[Tag]:
        """Return the models that have a name and the documented types."""
        return [tag for tag in map(_tag, self.models or ()) if tag is not None]


def _tag(row: object) -> Tag | None:
    try:
        tag = msgspec.convert(row, Tag)
    except msgspec.ValidationError:
        return None
    return tag if tag.model or tag.name else None


class Shown(msgspec.Struct):
    """The answer of ``/api/show``."""

    parameters: str | None = None
    model_info: dict[str, Any] | None = None
    capabilities: list[str] | None = None


class Version(msgspec.Struct):
    """The answer of ``/api/version``."""

    version: str
