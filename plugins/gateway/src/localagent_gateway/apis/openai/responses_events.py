"""Writes the event stream of the Responses API from the chunks of a chat.

Every answer opens with ``response.created`` and ends with ``response.completed``, ``response.incomplete`` or
``response.failed``; between them items open, grow and close. A broken stream ends with two events: ``response.failed``
for clients that read the events, then ``error``. Official SDKs raise for events whose data has a field ``error``, so
the second one has it beside the fields of its schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError
from localagent_gateway.apis.openai.errors import error_object, sentence
from localagent_gateway.apis.openai.responses_answer import Opening, item_status, texts_of
from localagent_gateway.apis.openai.responses_items import FunctionCall, Item, Message, Reasoning

Document = dict[str, Any]
ItemT = TypeVar("ItemT", bound=Item)
GrowingT = TypeVar("GrowingT", Message, Reasoning)

_encode = msgspec.json.Encoder().encode


class _Choice(msgspec.Struct):
    index: int = 0
    delta: dict[str, Any] | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Event).decode


class ResponsesWriter:
    """Writes one stream.

    Args:
        opening: What is known of the answer.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self._items: list[Item] = []
        self._current: Item | None = None  # the message or reasoning that grows; calls stay open until the end
        self._calls: dict[int, FunctionCall] = {}
        self._events: list[bytes] = []
        self._number = 0

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of these chunks."""
        self._begin()
        for chunk in chunks:
            for choice in _decode(chunk.data).choices or ():
                if choice.index == 0 and choice.delta:
                    self._grow(choice.delta)
        return self._taken()

    def end(self, stream: AnswerStream) -> bytes:
        """Return the closing of what is open, and the whole response."""
        self._begin()
        finish = stream.finish_reason
        if not self._items:
            self._emit_all(self._open(Message(self.opening.id("msg", 0), 0)).more("output_text", ""))
        for item in self._items:
            last = item is self._items[-1]
            self._emit_all(item.close(item_status(finish) if last else "completed"))
        response = self.opening.ended(self._output(), finish, stream.usage)
        self._emit(f"response.{response['status']}", response=response)
        return self._taken()

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the failed response, and the error in the form that official clients raise for."""
        self._begin()
        for item in self._items:
            item.close("incomplete")  # untold: clients would run a call that is said to be done
        self._emit("response.failed", response=self.opening.failed(self._output(), error))
        self._emit("error", code=error.code, message=sentence(error), param=None, **error_object(error))
        return self._taken()

    def _begin(self) -> None:
        if self._number == 0:
            response = self.opening.response("in_progress", [])
            self._emit("response.created", response=response)
            self._emit("response.in_progress", response=response)

    def _grow(self, delta: Document) -> None:
        text, thought = texts_of(delta)
        if thought:
            self._emit_all(self._current_as(Reasoning, "rs").more(thought))
        if text:
            self._emit_all(self._current_as(Message, "msg").more("output_text", text))
        if delta.get("refusal"):
            self._emit_all(self._current_as(Message, "msg").more("refusal", delta["refusal"]))
        for place, piece in enumerate(delta.get("tool_calls") or ()):
            self._grow_call(piece, place)

    def _grow_call(self, piece: Document, place: int) -> None:
        index = piece.get("index", place)
        function = piece.get("function") or {}
        call = self._calls.get(index)
        if call is None or call.precedes(piece.get("id"), function.get("name")):
            self._close_current()
            id = self.opening.id("fc", len(self._items))
            call = FunctionCall(
                id, len(self._items), piece.get("id") or id.replace("fc", "call", 1), function.get("name") or ""
            )
            self._calls[index] = self._open(call)
        if function.get("arguments"):
            self._emit_all(call.more(function["arguments"]))

    def _current_as(self, kind: type[GrowingT], prefix: str) -> GrowingT:
        """Return the item that grows if it is of this kind, else a new one after closing it."""
        if isinstance(self._current, kind):
            return self._current
        self._close_current()
        place = len(self._items)
        self._current = item = self._open(kind(self.opening.id(prefix, place), place))
        return item

    def _open(self, item: ItemT) -> ItemT:
        self._items.append(item)
        self._emit_all(item.open())
        return item

    def _close_current(self) -> None:
        if self._current is not None:
            self._emit_all(self._current.close("completed"))
            self._current = None

    def _output(self) -> list[Document]:
        return [item.document() for item in self._items]

    def _emit_all(self, events: Sequence[tuple[str, Document]]) -> None:
        for kind, fields in events:
            self._emit(kind, **fields)

    def _emit(self, kind: str, **fields: Any) -> None:
        data = _encode({"type": kind, "sequence_number": self._number, **fields})
        self._events.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1

    def _taken(self) -> bytes:
        taken, self._events = b"".join(self._events), []
        return taken
