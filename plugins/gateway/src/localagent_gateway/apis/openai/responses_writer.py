"""Tells a chat's answer in the Responses API, whole and as an event stream.

Every answer opens with ``response.created`` and ends with ``response.completed``, ``response.incomplete`` or
``response.failed``; between them items open, grow and close. A broken stream ends with two events: ``response.failed``
for clients that read the events, then ``error``. Official SDKs raise for events whose data has a field ``error``, so
the second one has it beside the fields of its schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, Response
from localagent.schema import AnswerEvent, AnswerReader, Ended, read_answer
from localagent_gateway.apis.error_shapes import openai_error_object, sentence
from localagent_gateway.apis.openai.responses_answer import Opening
from localagent_gateway.apis.openai.responses_items import Output

_encode = msgspec.json.Encoder().encode


# What of a chat's answer a response says by itself; fields that nobody here knows are kept.
_CHAT_ONLY = frozenset({"choices", "created", "usage"})


def whole_answer(opening: Opening, response: Response) -> bytes:
    """Return a whole answer: the response object with which its stream would have ended.

    Raises:
        UpstreamProtocol: The answer has not the shape of a chat's.
    """
    output = Output(opening.id)
    events = read_answer(response.raw, response.usage)
    for event in events:
        output.take(event)
    ended = opening.ended(output.documents(), _last(events))
    return _encode({**{name: value for name, value in response.document.items() if name not in _CHAT_ONLY}, **ended})


def _last(events: list[AnswerEvent]) -> Ended:
    last = events[-1]
    assert isinstance(last, Ended)
    return last


class ResponsesWriter:
    """Writes one stream.

    Args:
        opening: What is known of the answer.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self._reader = AnswerReader()
        self._output = Output(opening.id)
        self._events: list[bytes] = []
        self._number = 0

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of these chunks."""
        self._begin()
        for chunk in chunks:
            self._take(self._reader.read(chunk.data))
        return self._taken()

    def end(self, stream: AnswerStream) -> bytes:
        """Return the closing of what is open, and the whole response."""
        self._begin()
        events = self._reader.end(stream.usage)
        self._take(events)
        response = self.opening.ended(self._output.documents(), _last(events))
        self._emit(f"response.{response['status']}", response=response)
        return self._taken()

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the failed response, and the error in the form that official clients raise for."""
        self._begin()
        self._output.break_off()
        self._emit("response.failed", response=self.opening.failed(self._output.documents(), error))
        self._emit("error", code=error.code, message=sentence(error), param=None, **openai_error_object(error))
        return self._taken()

    def _begin(self) -> None:
        if self._number == 0:
            response = self.opening.response("in_progress", [])
            self._emit("response.created", response=response)
            self._emit("response.in_progress", response=response)

    def _take(self, events: Sequence[AnswerEvent]) -> None:
        for event in events:
            for kind, fields in self._output.take(event):
                self._emit(kind, **fields)

    def _emit(self, kind: str, **fields: Any) -> None:
        data = _encode({"type": kind, "sequence_number": self._number, **fields})
        self._events.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1

    def _taken(self) -> bytes:
        taken, self._events = b"".join(self._events), []
        return taken
