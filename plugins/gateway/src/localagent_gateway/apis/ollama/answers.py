"""Answers in the OpenAI schema, told in Ollama's.

``reasoning_content`` and ``reasoning`` become ``thinking``, a refusal becomes the content, tool calls come whole and
with their arguments as an object. Only the first choice is told: no request of Ollama's asks for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from localagent import Response, UpstreamProtocol, Usage
from localagent_gateway.apis.ollama.documents import Answer, Choice, Function, Line, Message, Spoken, ToolCall

BROKEN_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(Answer).decode
_NOTHING = Spoken()
# Where a server says how long it took, and in which unit: fields of ``timings`` in an answer, and facts of providers.
_SPENT = {
    "load_duration": (("load_seconds", 1e9),),
    "prompt_eval_duration": (("prompt_seconds", 1e9), ("prompt_ms", 1e6)),
    "eval_duration": (("generation_seconds", 1e9), ("predicted_ms", 1e6)),
}


def decoded(data: bytes) -> Answer:
    """Read an answer, or a chunk of one.

    Raises:
        UpstreamProtocol: It has not the shape of one.
    """
    try:
        return _decode(data)
    except BROKEN_JSON as error:
        raise UpstreamProtocol(
            f"The server's answer cannot be told in Ollama's API ({type(error).__name__})."
        ) from None


def whole(response: Response, *, chat: bool, created: str, nanoseconds: int) -> Line:
    """Return a whole answer.

    Args:
        response: The answer of the pipeline.
        chat: Whether ``/api/chat`` was asked; ``/api/generate`` otherwise.
        created: When it came, as ``timestamp`` writes it.
        nanoseconds: How long it took.

    Raises:
        UpstreamProtocol: The answer has not the shape of one, or calls a tool with something that is no object.
    """
    answer = decoded(response.raw)
    choice = answer.choices[0] if answer.choices else Choice()
    said = message(choice.message or choice.delta or _NOTHING, choice.text)
    line = piece(response.model, created, said, choice, chat=chat)
    finish(line, choice.finish_reason, response.usage)
    for name, spent in durations(response.facts, answer.timings).items():
        setattr(line, name, spent)
    line.total_duration = nanoseconds
    return line


def message(spoken: Spoken, text: str | None = None) -> Message:
    """Return a message, or a piece of one.

    Args:
        spoken: As it came.
        text: The text, where it was no chat that was answered.

    Raises:
        UpstreamProtocol: A tool is called with something that is no object.
    """
    content, thinking = _content(spoken.content)
    calls = [_tool_call(call, place) for place, call in enumerate(spoken.tool_calls or ())]
    return Message(
        content=content or text or spoken.refusal or "",
        thinking=spoken.reasoning_content or _string(spoken.reasoning) or thinking or None,
        tool_calls=calls or None,
    )


def piece(model: str, created: str, said: Message, choice: Choice, *, chat: bool) -> Line:
    """Return a line that says a message, or a piece of one."""
    logprobs = (choice.logprobs.content if choice.logprobs else None) or None
    if chat:
        return Line(model=model, created_at=created, message=said, logprobs=logprobs)
    return Line(
        model=model,
        created_at=created,
        response=said.content,
        thinking=said.thinking,
        tool_calls=said.tool_calls,
        logprobs=logprobs,
    )


def finish(line: Line, reason: str | None, usage: Usage | None) -> None:
    """Make a line the last one: why the answer ended, and how many tokens it cost."""
    line.done = True
    # Ollama has no reason of its own for a tool call.
    line.done_reason = "stop" if reason in (None, "tool_calls", "function_call") else reason
    if usage is not None:
        line.prompt_eval_count = usage.prompt_tokens
        line.eval_count = usage.completion_tokens


def durations(facts: Mapping[str, Any], timings: Mapping[str, Any] | None) -> dict[str, int]:
    """Return how long each part took, in nanoseconds, as far as the server said.

    Args:
        facts: The provider's figures, such as ``load_seconds``.
        timings: The field of that name in the answer: the same figures, or llama.cpp's ``prompt_ms`` and
            ``predicted_ms``.
    """
    said = {**(timings or {}), **facts}
    spent: dict[str, int] = {}
    for name, sources in _SPENT.items():
        for source, unit in sources:
            value = said.get(source)
            if isinstance(value, int | float) and value >= 0:
                spent[name] = round(value * unit)
                break
    return spent


def timestamp(wall: float) -> str:
    """Return seconds since the epoch as Ollama writes times (RFC 3339)."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _content(content: Any) -> tuple[str, str]:
    """Return the text and the thinking of a content, which some servers send as a list of parts."""
    if not isinstance(content, list):
        return _string(content), ""
    parts = [part for part in content if isinstance(part, dict)]
    text = "".join(_string(part.get("text")) for part in parts)
    return text, "".join(_content(part.get("thinking"))[0] for part in parts)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _tool_call(call: dict[str, Any], place: int) -> ToolCall:
    function = call.get("function")
    name = _string(function.get("name")) if isinstance(function, dict) else ""
    given = function.get("arguments") if isinstance(function, dict) else None
    arguments = _arguments(given if isinstance(given, str) else msgspec.json.encode(given or {}))
    if not name or arguments is None:
        raise UpstreamProtocol("The model calls a tool without a name, or with arguments that are no JSON object.")
    return ToolCall(Function(name, arguments, place), _string(call.get("id")) or None)


def _arguments(text: str | bytes) -> msgspec.Raw | None:
    """Return arguments in one line, number for number as they came; none at all are an empty object."""
    try:
        flat = msgspec.json.format((text if isinstance(text, bytes) else text.encode()) or b"{}", indent=-1)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return msgspec.Raw(flat) if flat.startswith(b"{") else None
