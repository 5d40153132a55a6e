"""Writes a chat's answer in the Responses API, whole or as an event stream.

Every answer starts with ``response.created`` and ends with ``response.completed``, ``response.incomplete`` or
``response.failed``; between them items open, grow and close. A broken stream ends with two events: ``response.failed``
for clients that read the events, then ``error``. Official SDKs raise for events whose data has a field ``error``, so
the second event has it in addition to the fields of its schema.

A response object has the fields of https://platform.openai.com/docs/api-reference/responses/object; the models of the
official SDK show which of them are required.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, Response, Usage
from localagent.schema import AnswerEvent, AnswerReader, Ended, read_answer
from localagent_gateway.apis.error_shapes import openai_error_object, sentence
from localagent_gateway.apis.openai.responses_items import INCOMPLETE, Output

Document = dict[str, Any]

_encode = msgspec.json.Encoder().encode
#: The fields of the request that an answer repeats, with their defaults.
_REPEATED: Mapping[str, Any] = {
    "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "prompt_cache_key": None, "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None, "service_tier": None, "temperature": None, "text": {"format": {"type": "text"}},
    "tool_choice": "auto", "top_logprobs": None, "top_p": None, "truncation": "disabled", "user": None,
}  # fmt: skip
#: The fields of a chat's answer that a response replaces; unknown fields are kept.
_CHAT_ONLY = frozenset({"choices", "created", "usage"})


class Opening:
    """The data of an answer that are known before its content.

    Args:
        asked: The decoded body of the request.
        name: Unique among answers; part of every id in this one.
        wall_time: Returns the seconds since the epoch.

    Attributes:
        model: The model that answers, as ``provider/name``; set when it is known.
    """

    def __init__(self, asked: Document, name: str, wall_time: Callable[[], float]) -> None:
        self._asked = asked
        self._name = name
        self._wall_time = wall_time
        self._created = int(wall_time())
        self.model = ""

    def id(self, kind: str, place: int) -> str:
        """Return the id of the item at a place; ``kind`` is msg, fc or rs."""
        return f"{kind}_{self._name}_{place}"

    def response(self, status: str, output: list[Document], **more: Any) -> Document:
        """Return a response object with every field that clients require."""
        repeated = {name: default if (value := self._asked.get(name)) is None else value
                    for name, default in _REPEATED.items()}  # fmt: skip
        return {
            "id": f"resp_{self._name}", "object": "response", "created_at": self._created, "status": status,
            "background": False, "completed_at": None, "error": None, "incomplete_details": None,
            "model": self.model, "output": output, "previous_response_id": None, "store": False, "usage": None,
            "tools": [_tool(tool) for tool in self._asked.get("tools") or ()], **repeated, **more,
        }  # fmt: skip

    def ended(self, output: list[Document], ended: Ended) -> Document:
        """Return the response object of an answer that ended without an error, complete or cut off by a limit."""
        reason, usage = INCOMPLETE.get(ended.finish_reason), usage_object(ended.usage)
        if reason:
            return self.response("incomplete", output, incomplete_details={"reason": reason}, usage=usage)
        return self.response("completed", output, completed_at=int(self._wall_time()), usage=usage)

    def failed(self, output: list[Document], error: LocalAgentError) -> Document:
        """Return the response object of an answer that broke off."""
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        return self.response("failed", output, error={"code": code, "message": sentence(error)})


def _tool(tool: Document) -> Document:
    return {"description": None, "parameters": None, "strict": None, **tool}


def usage_object(usage: Usage | None) -> Document | None:
    """Return token counts as the Responses API names them; what was not reported is 0, as clients need numbers."""
    if usage is None:
        return None
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input_tokens": usage.prompt_tokens or 0,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": usage.completion_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens or 0,
    }


def whole_answer(opening: Opening, response: Response) -> bytes:
    """Return a whole answer: the response object with which its stream would have ended.

    Raises:
        UpstreamProtocol: The answer is not a valid answer of a chat.
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
        opening: The known data of the answer.
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
        """Return the events that close the open items, and the whole response."""
        self._begin()
        events = self._reader.end(stream.usage)
        self._take(events)
        response = self.opening.ended(self._output.documents(), _last(events))
        self._emit(f"response.{response['status']}", response=response)
        return self._taken()

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the failed response, and the error in the form on which official clients raise."""
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
