"""Reads answers in the OpenAI schema, streamed or whole, into typed events; sans-I/O.

====================================  =================================================================================
what servers send                     what is read
====================================  =================================================================================
``content``                           ``Text``; of a list each part on its own: text, thinking or reasoning, refusal
``reasoning_content``, ``reasoning``  ``Thought``; also ``thinking``
``refusal``                           ``Refusal``
``tool_calls``, ``function_call``     ``CallBegun`` and ``CallPiece``; arguments that are an object become JSON text
``text``                              ``Text``, of a completion
the rest                              ``Ended``
====================================  =================================================================================

Only the first choice is read, because only OpenAI's own API has others. ``localagent.schema.tool_calls`` decides which
call a piece belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from localagent.errors import UpstreamProtocol
from localagent.records.responses import Usage
from localagent.schema.answer_documents import (
    ABSENT,
    BAD_JSON,
    FullAnswer,
    FullChoice,
    Spoken,
    decode_full,
    present,
    usage_in,
    usage_of,
)
from localagent.schema.answer_events import (
    AnswerEvent,
    CallBegun,
    CallPiece,
    Ended,
    FinishReason,
    Refusal,
    Text,
    Thought,
)
from localagent.schema.tool_calls import ToolCall, ToolCalls

# The names that servers use for finish reasons. An unknown one does not make the answer invalid.
_FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "content_filter": "content_filter", "safety": "content_filter", "refusal": "content_filter",
}  # fmt: skip


class _Function(msgspec.Struct, gc=False):
    name: Any = None
    arguments: msgspec.Raw = ABSENT


class _Piece(msgspec.Struct, gc=False):
    index: Any = None
    id: Any = None
    function: _Function | None = None


_NO_FUNCTION = _Function()
_NO_ARGUMENTS = ("", "null")  # what servers send instead of an object
_decode_pieces = msgspec.json.Decoder(list[_Piece] | None).decode
_decode_function = msgspec.json.Decoder(_Function | None).decode
_decode = msgspec.json.Decoder().decode


class AnswerReader:
    """Reads one answer: pass its events or the whole document to ``read``, then call ``end``."""

    __slots__ = ("_begun", "_calls", "_finish", "_matched", "_refused", "_streamed", "_timings", "_unsaid", "_usage")

    def __init__(self) -> None:
        self._calls: ToolCalls | None = None
        self._begun = 0  # calls for which CallBegun was returned
        self._unsaid: dict[int, list[str]] = {}  # arguments of calls that have not begun
        self._streamed = self._refused = False
        self._finish = ""
        self._matched: str | None = None
        self._usage: Usage | None = None
        self._timings: dict[str, Any] = {}

    def read(self, data: bytes) -> list[AnswerEvent]:
        """Return the typed events of an event of a stream, or of a whole answer.

        A call begins when its name is complete: when arguments follow it, or another call, or the end.

        Args:
            data: The JSON document.

        Raises:
            UpstreamProtocol: The document does not have the shape of an answer.
        """
        try:
            answer = decode_full(data)
            if answer.usage is not None or answer.timings is not None or answer.x_groq is not None:
                self._beside(answer)
            choice = _first(answer.choices or ())
            return [] if choice is None else self._events(choice)
        except BAD_JSON as error:
            raise UpstreamProtocol(f"The server's answer is not a chat answer ({type(error).__name__}).") from None

    def end(self, usage: Usage | None = None) -> list[AnswerEvent]:
        """Return the remaining events: calls without arguments, and the end.

        Args:
            usage: The token counts, if the caller has better ones than the answer.
        """
        events: list[AnswerEvent] = []
        for call in self._calls.all[self._begun :] if self._calls else ():
            if call.id or call.name or call.place in self._unsaid:
                self._begin(call, events)
        events.append(Ended(self._reason(), usage or self._usage, self._matched, self._refused, self._timings))
        return events

    def _beside(self, answer: FullAnswer) -> None:
        """Record the fields next to the choices."""
        self._usage = usage_in(answer) or self._usage
        if isinstance(answer.timings, dict):
            self._timings = answer.timings

    def _events(self, choice: FullChoice) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        said = choice.delta
        if said is not None:
            self._streamed = True
        elif not self._streamed:  # some servers repeat the whole message after its pieces
            said = choice.message
        if said is not None:
            self._spoken(said, events)
        if choice.text and (said is None or not said.content):
            events.append(Text(choice.text))
        if choice.logprobs is not ABSENT:
            _add_logprobs(choice.logprobs, events)
        if choice.finish_reason:
            self._finish = choice.finish_reason
        if choice.stop_reason is not None or choice.matched_stop is not None:
            matched = choice.matched_stop if choice.stop_reason is None else choice.stop_reason
            self._matched = matched if isinstance(matched, str) else self._matched  # a number is a token
        if choice.usage is not None:
            self._usage = usage_of(choice.usage) or self._usage
        return events

    def _spoken(self, said: Spoken, events: list[AnswerEvent]) -> None:
        if said.reasoning_content or said.reasoning or said.thinking:
            named = (said.reasoning_content, said.reasoning, said.thinking)
            events += [Thought(text) for text in filter(None, map(_joined, named))][:1]
        content = said.content
        if content.__class__ is str:
            if content:
                events.append(Text(content))
        elif content:
            events += _parts(content)
            self._refused = self._refused or Refusal in map(type, events)
        if said.refusal and (text := _joined(said.refusal)):
            events.append(Refusal(text))
            self._refused = True
        if said.tool_calls is not ABSENT or said.function_call is not ABSENT:
            self._called(said, events)

    def _called(self, said: Spoken, events: list[AnswerEvent]) -> None:
        pieces = _decode_pieces(said.tool_calls) if present(said.tool_calls) else None
        if not pieces and present(said.function_call):
            pieces = [_Piece(function=_decode_function(said.function_call))]
        for position, piece in enumerate(pieces or ()):
            if not self._streamed:
                piece.index = position  # a whole answer has no pieces: each is a call, whatever its number
            self._piece(position, piece, events)

    def _piece(self, position: int, piece: _Piece, events: list[AnswerEvent]) -> None:
        function = piece.function or _NO_FUNCTION
        arguments = _arguments(function.arguments)
        if self._calls is None:
            self._calls = ToolCalls()
        call = self._calls.find(position, piece.index, piece.id, function.name, arguments)
        if call.place < self._begun:
            if arguments:
                events.append(CallPiece(call.place, arguments))
            return
        if arguments.strip() not in _NO_ARGUMENTS:
            self._unsaid.setdefault(call.place, []).append(arguments)
        self._begin_ready(self._calls.all, events)

    def _begin_ready(self, calls: list[ToolCall], events: list[AnswerEvent]) -> None:
        """Begin, in their order, the calls whose name is complete."""
        while self._begun < len(calls):
            call = calls[self._begun]
            if not call.name or (call.place == len(calls) - 1 and call.place not in self._unsaid):
                return
            self._begin(call, events)

    def _begin(self, call: ToolCall, events: list[AnswerEvent]) -> None:
        events.append(CallBegun(call.place, call.id, call.name))
        self._begun = call.place + 1
        if pieces := self._unsaid.pop(call.place, None):
            events.append(CallPiece(call.place, "".join(pieces)))

    def _reason(self) -> FinishReason:
        """Return the finish reason; some servers send "stop" although tools are called, or an unusable value."""
        reason = _FINISH_REASONS.get(self._finish.lower())
        return reason or ("tool_calls" if self._begun else "stop")


def _first(choices: Sequence[FullChoice]) -> FullChoice | None:
    for choice in choices:
        if not choice.index:
            return choice
    return choices[0] if choices and choices[0].message is not None else None  # the only one, whatever its number


def read_answer(data: bytes, usage: Usage | None = None) -> list[AnswerEvent]:
    """Return the typed events of a whole answer.

    Args:
        data: The JSON document.
        usage: The token counts, if the caller has better ones than the answer.

    Raises:
        UpstreamProtocol: The document does not have the shape of an answer.
    """
    reader = AnswerReader()
    return reader.read(data) + reader.end(usage)


def text_in(content: Any) -> str:
    """Return the text of a message's content, or of a piece of it, without thoughts and refusals."""
    if content.__class__ is str:
        return str(content)
    return "".join([part.text for part in _parts(content) if isinstance(part, Text)]) if content else ""


# Mistral nests: {"type": "thinking", "thinking": [{"type": "text", "text": "..."}]}
_FIELDS = ("thinking", "reasoning", "summary", "refusal", "text")
_KINDS = (("thinking", Thought), ("reasoning", Thought), ("summary", Thought), ("refusal", Refusal))


def _parts(content: Any) -> Iterator[Thought | Text | Refusal]:
    """Yield the events of a content that is not a string; parts of other kinds, such as images, are ignored."""
    for each in content if isinstance(content, list) else [content]:
        part = each if isinstance(each, dict) else {"text": each}
        for name in _FIELDS:
            if text := _joined(part.get(name)):
                yield _event_of(str(part.get("type")), name)(text)


def _event_of(kind: str, name: str) -> type[Thought | Text | Refusal]:
    """Return the event type for a field of a part: by the part's type, else by the field's name."""
    for said in (kind, name):
        for begin, event in _KINDS:
            if said.startswith(begin):
                return event
    return Text


def _joined(value: Any) -> str:
    """Return the text of a value that is a string, or a list of parts with text."""
    if isinstance(value, list):
        texts = [part.get("text") if isinstance(part, dict) else part for part in value]
        return "".join([text for text in texts if isinstance(text, str)])
    return value if isinstance(value, str) else ""


def _add_logprobs(field: msgspec.Raw, events: list[AnswerEvent]) -> None:
    """Add the log probabilities of an event to its text, or to an empty text if it has none."""
    said = _decode(field)
    logprobs = said.get("content") if isinstance(said, dict) else None
    if not logprobs or not isinstance(logprobs, list):
        return
    for number, event in enumerate(events):
        if isinstance(event, Text):
            events[number] = Text(event.text, logprobs)
            return
    events.append(Text("", logprobs))


def _arguments(field: msgspec.Raw) -> str:
    """Return arguments as text; an object keeps its JSON text, with every number unchanged."""
    if not present(field):
        return ""
    raw = bytes(field)
    return str(_decode(raw)) if raw.startswith(b'"') else raw.decode()
