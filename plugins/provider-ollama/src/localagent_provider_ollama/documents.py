"""The OpenAI schema, as used for Ollama's answers.

``timings`` is a field of LocalAgent: the seconds that Ollama spent on loading the model, on the prompt and on the
answer. It is in a complete answer, and in the chunk of a stream that has the finish reason.
"""

from __future__ import annotations

from typing import Any

import msgspec

from localagent import Usage
from localagent_provider_ollama.native import NO_ARGUMENTS, Answer, Counts, Logprob, ToolCall

encode = msgspec.json.Encoder().encode


class CalledFunction(msgspec.Struct, gc=False):
    """The function of a tool call; ``arguments`` is JSON text."""

    name: str
    arguments: str


class Call(msgspec.Struct, gc=False, omit_defaults=True):
    """A tool call; ``index`` is used only in streams."""

    id: str
    type: str
    function: CalledFunction
    index: int | None = None


class Delta(msgspec.Struct, gc=False, omit_defaults=True):
    """A message, or a piece of one."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None


class Message(msgspec.Struct, gc=False, omit_defaults=True):
    """A complete message; ``content`` is always present."""

    role: str
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None


class Logprobs(msgspec.Struct, gc=False):
    """The log probabilities of a choice's tokens."""

    content: list[Logprob]
    refusal: None = None


class Choice(msgspec.Struct, gc=False, omit_defaults=True):
    """A choice in any kind of answer."""

    index: int
    finish_reason: str | None
    delta: Delta | None = None
    message: Message | None = None
    text: str | None = None
    logprobs: Logprobs | None = None


class Tokens(msgspec.Struct, gc=False):
    """The token counts of an answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Document(msgspec.Struct, gc=False, omit_defaults=True):
    """An answer, or a chunk of one."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Tokens | None = None
    timings: dict[str, float] | None = None


_NAMES = (
    ("load_seconds", "load_duration"),
    ("prompt_seconds", "prompt_eval_duration"),
    ("generation_seconds", "eval_duration"),
)


def timings(counts: Counts) -> dict[str, float]:
    """Return where the time went, in seconds; empty if Ollama did not report it."""
    spent = ((name, getattr(counts, duration)) for name, duration in _NAMES)
    return {name: duration / 1e9 for name, duration in spent if duration is not None}


def usage(counts: Counts) -> Usage | None:
    """Return the token counts of an answer; None if Ollama reported none.

    When it reports one of them, the other one is zero, which Ollama leaves out.
    """
    if counts.prompt_eval_count is None and counts.eval_count is None:
        return None
    prompt, completion = int(counts.prompt_eval_count or 0), int(counts.eval_count or 0)
    return Usage(prompt, completion, prompt + completion)


def tokens(cost: Usage | None) -> Tokens | None:
    """Return token counts in the form used in an answer."""
    if cost is None:
        return None
    return Tokens(cost.prompt_tokens or 0, cost.completion_tokens or 0, cost.total_tokens or 0)


def finish_reason(answer: Answer, *, called: bool) -> str:
    """Return why an answer ended: Ollama's ``stop`` and ``length`` mean the same; older versions report no reason.

    Args:
        answer: The last line.
        called: Whether there was a tool call, which Ollama does not report as a reason.
    """
    return "tool_calls" if called else answer.done_reason or "stop"


def logprobs(answer: Answer) -> Logprobs | None:
    """Return the log probabilities, or None."""
    return Logprobs(answer.logprobs) if answer.logprobs else None


def call(native: ToolCall, call_id: str, number: int) -> Call:
    """Return a tool call. If it has no id, one is derived from the call's id.

    Args:
        native: The tool call as sent by Ollama.
        call_id: The id of the call that is answered.
        number: Its index among the answer's tool calls.
    """
    function = CalledFunction(native.function.name, _arguments(native.function.arguments))
    return Call(native.id or f"call_{call_id}_{number}", "function", function)


def _arguments(raw: msgspec.Raw) -> str:
    """Return the JSON text of arguments, with all numbers exactly as received."""
    text = bytes(raw)
    if text.startswith(b'"'):
        given: Any = msgspec.json.decode(text)
        return str(given)
    return (bytes(NO_ARGUMENTS) if text == b"null" else text).decode()
