"""The shapes on both sides: embeddings in the OpenAI schema, and Ollama's lines."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Vector(msgspec.Struct, gc=False):
    """An embedding in the OpenAI schema; its numbers stay the text that they came as."""

    embedding: msgspec.Raw
    index: int = 0


class Vectors(msgspec.Struct, gc=False):
    """An answer with embeddings in the OpenAI schema."""

    data: list[Vector]


class Function(msgspec.Struct, gc=False):
    """The function of a tool call; ``arguments`` is a JSON object."""

    name: str
    arguments: msgspec.Raw
    index: int


class ToolCall(msgspec.Struct, gc=False, omit_defaults=True):
    """A tool call, always whole."""

    function: Function
    id: str | None = None


class Message(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    """A message, or a piece of one."""

    role: Literal["assistant"] = msgspec.field(default_factory=lambda: "assistant")  # said although it is always this
    content: str
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None


class Line(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    """A whole answer, or a line of a streamed one; durations in nanoseconds."""

    model: str
    created_at: str
    message: Message | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None
    logprobs: list[Any] | None = None
    done: bool = msgspec.field(default_factory=lambda: False)  # said in every line
    done_reason: str | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class Embeddings(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    """The answer of ``/api/embed``."""

    model: str
    embeddings: list[msgspec.Raw]
    total_duration: int
    load_duration: int | None = None
    prompt_eval_count: int | None = None
