"""Writes answers in Ollama's API, whole or as a stream of lines, the last one with ``done: true``.

Thoughts become ``thinking``, a refusal becomes content. Tool calls are sent whole, before the last line, with their
arguments as an object; one that a limit cut off is left out, as in Ollama.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any, Literal

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, Response
from localagent.errors import UpstreamProtocol
from localagent.schema import AnswerEvent, AnswerReader, CallBegun, CallPiece, Ended, Text, Thought, read_answer
from localagent_gateway.apis.answers import object_of
from localagent_gateway.apis.error_shapes import ollama_error_line

_lines = msgspec.json.Encoder().encode_lines
#: Where servers report durations, with their unit in nanoseconds: fields of ``timings``, and facts of providers.
_SPENT = {
    "load_duration": (("load_seconds", 1e9),),
    "prompt_eval_duration": (("prompt_seconds", 1e9), ("prompt_ms", 1e6)),
    "eval_duration": (("generation_seconds", 1e9), ("predicted_ms", 1e6)),
}


class Vector(msgspec.Struct, gc=False):
    """An embedding in the OpenAI schema; its numbers keep their text."""

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
    """A whole tool call."""

    function: Function
    id: str | None = None


class Message(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    """A message, or a piece of one."""

    role: Literal["assistant"] = msgspec.field(default_factory=lambda: "assistant")  # written although it never changes
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
    done: bool = msgspec.field(default_factory=lambda: False)  # written in every line
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


def whole_line(response: Response, *, chat: bool, created: str, nanoseconds: int) -> Line:
    """Return a whole answer.

    Args:
        response: The answer of the pipeline.
        chat: Whether it is for ``/api/chat``; otherwise for ``/api/generate``.
        created: When it arrived, in the format of ``timestamp``.
        nanoseconds: Its duration.

    Raises:
        UpstreamProtocol: The answer is malformed, or calls a tool with arguments that are not an object.
    """
    *events, ended = read_answer(response.raw, response.usage)
    assert isinstance(ended, Ended)
    calls = _Calls()
    line = _line(response.model, created, calls.without(events), chat=chat, calls=calls.whole(ended))
    _finish(line, ended, response.facts)
    line.total_duration = nanoseconds
    return line


class _Calls:
    """Collects the pieces of tool calls."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[CallBegun, list[str]]] = {}

    def without(self, events: list[AnswerEvent]) -> list[Any]:
        """Take the events about calls; return the others."""
        if len(events) == 1 and isinstance(events[0], Text):
            return events
        others: list[AnswerEvent] = []
        for event in events:
            if isinstance(event, CallBegun):
                self._calls[event.place] = (event, [])
            elif isinstance(event, CallPiece):
                self._calls[event.place][1].append(event.arguments)
            else:
                others.append(event)
        return others

    def whole(self, ended: Ended) -> list[ToolCall] | None:
        """Return the tool calls of a complete answer; None if there are no calls."""
        calls: list[ToolCall] = []
        for begun, pieces in self._calls.values():
            given = object_of("".join(pieces))
            if given is not None:
                calls.append(ToolCall(Function(begun.name, given, begun.place), begun.id or None))
            elif ended.finish_reason != "length":
                raise UpstreamProtocol("The model called a tool with arguments that are not a JSON object.")
        return calls or None


def _line(
    model: str, created: str, said: Sequence[Any] = (), *, chat: bool, calls: list[ToolCall] | None = None
) -> Line:
    """Return a line with thoughts, text and tool calls."""
    text, thinking, logprobs = _spoken(said)
    if chat:
        message = Message(content=text, thinking=thinking, tool_calls=calls)
        return Line(model=model, created_at=created, message=message, logprobs=logprobs)
    return Line(model=model, created_at=created, response=text, thinking=thinking, tool_calls=calls, logprobs=logprobs)


def _spoken(said: Sequence[Any]) -> tuple[str, str | None, list[Any] | None]:
    """Return text, thoughts and log probabilities of events; fast for a single text, as in most chunks."""
    if len(said) == 1 and isinstance(said[0], Text):
        return said[0].text, None, said[0].logprobs
    text = "".join([event.text for event in said if not isinstance(event, Thought)])
    thinking = "".join([event.text for event in said if isinstance(event, Thought)])
    logprobs = [one for event in said if isinstance(event, Text) and event.logprobs for one in event.logprobs]
    return text, thinking or None, logprobs or None


class LineWriter:
    """Writes one stream.

    Args:
        chat: Whether it is for ``/api/chat``; otherwise for ``/api/generate``.
        wall_time: Returns the seconds since the epoch.
        started: When the request arrived, on the performance counter, in nanoseconds.
    """

    content_type = "application/x-ndjson"

    def __init__(self, *, chat: bool, wall_time: Callable[[], float], started: int) -> None:
        self._chat = chat
        self._wall_time = wall_time
        self._started = started
        self._first = started
        self._model = ""
        self._reader = AnswerReader()
        self._calls = _Calls()

    def begin(self, model: str) -> None:
        """Record that the first content has arrived, and its model."""
        self._model = model
        self._first = perf_counter_ns()

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return a line for each chunk with content."""
        created = timestamp(self._wall_time())
        spoken = [self._calls.without(self._reader.read(chunk.data)) for chunk in chunks]
        lines = [_line(self._model, created, said, chat=self._chat) for said in spoken if said]
        return _lines(lines) if lines else b""

    def end(self, stream: AnswerStream) -> bytes:
        """Return the tool calls, and the last line: finish reason, token counts and durations.

        Durations that the server does not report are measured here: until the first content, and after it.
        """
        created = timestamp(self._wall_time())
        now = perf_counter_ns()
        *events, ended = self._reader.end(stream.usage)
        assert isinstance(ended, Ended)
        self._calls.without(events)
        calls = self._calls.whole(ended)
        lines = [_line(self._model, created, chat=self._chat, calls=calls)] if calls else []
        last = _line(self._model, created, chat=self._chat)
        last.total_duration = now - self._started
        last.prompt_eval_duration = self._first - self._started
        last.eval_duration = now - self._first
        _finish(last, ended, stream.facts)
        return _lines([*lines, last])

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the error as a line: Ollama's clients raise it."""
        return ollama_error_line(error) + b"\n"


def _finish(line: Line, ended: Ended, facts: Mapping[str, Any]) -> None:
    """Make a line the last one: add the finish reason, token counts and durations."""
    line.done = True
    # Ollama has no reason of its own for a tool call.
    line.done_reason = "stop" if ended.finish_reason == "tool_calls" else ended.finish_reason
    if ended.usage is not None:
        line.prompt_eval_count = ended.usage.prompt_tokens
        line.eval_count = ended.usage.completion_tokens
    for name, spent in durations({**ended.timings, **facts}).items():
        setattr(line, name, spent)


def durations(said: Mapping[str, Any]) -> dict[str, int]:
    """Return the durations that the server reported, in nanoseconds.

    Args:
        said: The provider's figures, such as ``load_seconds``, or llama.cpp's ``prompt_ms`` and ``predicted_ms``.
    """
    spent: dict[str, int] = {}
    for name, sources in _SPENT.items():
        for source, unit in sources:
            value = said.get(source)
            if isinstance(value, int | float) and value >= 0:
                spent[name] = round(value * unit)
                break
    return spent


def timestamp(wall_time: float) -> str:
    """Return seconds since the epoch in Ollama's format (RFC 3339)."""
    return datetime.fromtimestamp(wall_time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
