"""Writes answers in Anthropic's API, whole or as an event stream.

===================  ==================================================================================================
part of the answer   at Anthropic
===================  ==================================================================================================
a thought            a block ``thinking``; its signature is empty, because the gateway cannot sign
a text, a refusal    a block ``text``
a tool call          a block ``tool_use``, with ``input`` as an object instead of JSON text
the end              ``stop_reason``, see ``_stop``, and the usage: ``input_tokens`` are those that were not cached
===================  ==================================================================================================

A stream (https://docs.anthropic.com/en/docs/build-with-claude/streaming) is ``message_start``, then for each block
``content_block_start``, ``content_block_delta`` and ``content_block_stop``, one block after the other, then
``message_delta`` with stop reason and usage, and ``message_stop``. The usage is only known at the end:
``message_start`` has zeros, ``message_delta`` all counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, groupby
from typing import Any

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, Response, Usage
from localagent.errors import UpstreamProtocol
from localagent.schema import AnswerEvent, AnswerReader, CallBegun, CallPiece, Ended, Text, Thought, read_answer
from localagent_gateway.apis.answers import NO_ARGUMENTS, object_of
from localagent_gateway.apis.error_shapes import anthropic_error_object

Document = dict[str, Any]
Key = str | int
"""The type of a block; the number of a tool call, because each call has its own block."""

_encode = msgspec.json.Encoder().encode
_NO_OBJECT = "The model called a tool with arguments that are not a JSON object."
_RUNNING = {"stop_reason": None, "stop_sequence": None}
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Opening:
    """The data of an answer that are known before its content.

    Args:
        name: Unique among answers; part of every id in this one.
        stops: The stop sequences of the request.

    Attributes:
        model: The model that answers, as ``provider/name``; set when it is known.
    """

    def __init__(self, name: str, stops: Sequence[str]) -> None:
        self._name = name
        self.stops = stops
        self.model = ""

    def tool_use(self, call: CallBegun, given: msgspec.Raw = NO_ARGUMENTS) -> Document:
        """Return the block of a tool call; a call without an id from the server gets one."""
        return {"type": "tool_use", "id": call.id or f"toolu_{self._name}_{call.place}", "name": call.name,
                "input": given}  # fmt: skip

    def message(self, content: list[Document], stop: Document, usage: Usage | None) -> Document:
        """Return the message object."""
        return {"id": f"msg_{self._name}", "type": "message", "role": "assistant", "model": self.model,
                "content": content, **stop, "usage": _usage(usage)}  # fmt: skip


def whole_message(opening: Opening, response: Response) -> Document:
    """Return a whole answer.

    Args:
        opening: Its other data.
        response: The answer of the pipeline.

    Raises:
        UpstreamProtocol: The answer is malformed, or calls a tool with arguments that are not an object.
    """
    *said, ended = read_answer(response.raw, response.usage)
    assert isinstance(ended, Ended)
    content = [_block(key, list(events), ended, opening) for key, events in groupby(said, _key)]
    return opening.message([block for block in content if block], _stop(ended, opening.stops), ended.usage)


def _block(key: Key, events: list[Any], ended: Ended, opening: Opening) -> Document | None:
    if key == "thinking":
        return {"type": "thinking", "thinking": "".join([event.text for event in events]), "signature": ""}
    if key == "text":
        text = "".join([event.text for event in events])
        return {"type": "text", "text": text} if text else None
    call, *pieces = events
    given = object_of("".join([piece.arguments for piece in pieces]))
    if given is None and ended.finish_reason != "length":
        raise UpstreamProtocol(_NO_OBJECT)
    return opening.tool_use(call, given or NO_ARGUMENTS)  # one that was cut off has no input, as in Anthropic's API


def _key(event: AnswerEvent) -> Key:
    """Return the block to which an event belongs."""
    if isinstance(event, Text):
        return "text"
    if isinstance(event, CallBegun | CallPiece):
        return event.place
    return "thinking" if isinstance(event, Thought) else "text"


def _stop(ended: Ended, stops: Sequence[str]) -> Document:
    """Return ``stop_reason`` and ``stop_sequence`` of an answer."""
    reason = "refusal" if ended.refused else _STOP_REASONS[ended.finish_reason]
    if reason == "end_turn" and ended.matched_stop in stops:
        return {"stop_reason": "stop_sequence", "stop_sequence": ended.matched_stop}
    return {"stop_reason": reason, "stop_sequence": None}


def _usage(usage: Usage | None) -> Document:
    """Return token counts; zeros if the server reported no usage, because clients of this API need numbers."""
    counts = usage or Usage()
    cached, written = counts.cached_tokens or 0, counts.cache_write_tokens or 0
    return {
        "input_tokens": max((counts.prompt_tokens or 0) - cached - written, 0),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": counts.completion_tokens or 0,
    }


class MessageWriter:
    """Writes one stream.

    Blocks follow one another, but pieces of two tool calls may alternate. So events that arrive while the input of an
    open call is incomplete wait until the answer has ended.

    Args:
        opening: The known data of the answer; its model must be set before the first chunk.
        request_id: Sent with an error.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, opening: Opening, request_id: str) -> None:
        self._opening = opening
        self._request_id = request_id
        self._reader = AnswerReader()
        self._events: list[bytes] = []
        self._open: Key | None = None
        self._blocks = 0
        self._input: list[str] = []  # of the call whose block is open
        self._waiting: dict[Key, list[AnswerEvent]] = {}
        self._started = self._cut_off = False

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of these chunks."""
        self._start()
        for chunk in chunks:
            for event in self._reader.read(chunk.data):
                self._take(event)
        return self._written()

    def end(self, stream: AnswerStream) -> bytes:
        """Return the end of the last block and of the message.

        Raises:
            UpstreamProtocol: The arguments of a tool call are not an object, although no limit cut them off.
        """
        self._start()
        *said, ended = self._reader.end(stream.usage)
        assert isinstance(ended, Ended)
        self._cut_off = ended.finish_reason == "length"
        for event in said:
            self._take(event)
        for event in chain.from_iterable(self._waiting.values()):
            self._report(event)
        self._close()
        self._event("message_delta", delta=_stop(ended, self._opening.stops), usage=_usage(ended.usage))
        self._event("message_stop")
        return self._written()

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the error as an event, which official clients raise; the open block and the message do not end."""
        written = self._written()  # the events before the failure, from the same chunks
        return written + b"event: error\ndata: %b\n\n" % _encode(anthropic_error_object(error, self._request_id))

    def _take(self, event: AnswerEvent) -> None:
        key = _key(event)
        if key == self._open:
            self._report(event)
        elif not self._may_close():
            self._waiting.setdefault(key, []).append(event)
        elif not isinstance(event, CallPiece):  # pieces for a closed block are dropped: its input was complete
            self._report(event)

    def _may_close(self) -> bool:
        """Return whether the open block is complete; called once for a block, because later events wait."""
        if self._waiting:
            return False
        return not isinstance(self._open, int) or (bool(self._input) and object_of("".join(self._input)) is not None)

    def _report(self, event: Any) -> None:
        """Write an event into its block, and open the block if necessary."""
        if isinstance(event, CallBegun):
            self._begin(event.place, self._opening.tool_use(event))
        elif isinstance(event, CallPiece):
            self._input.append(event.arguments)
            self._delta({"type": "input_json_delta", "partial_json": event.arguments})
        elif isinstance(event, Thought):
            if self._open != "thinking":
                self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            self._delta({"type": "thinking_delta", "thinking": event.text})
        elif event.text:
            if self._open != "text":
                self._begin("text", {"type": "text", "text": ""})
            self._delta({"type": "text_delta", "text": event.text})

    def _begin(self, key: Key, block: Document) -> None:
        self._close()
        self._open = key
        self._input = []
        self._event("content_block_start", index=self._blocks, content_block=block)
        self._blocks += 1

    def _delta(self, delta: Document) -> None:
        self._event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _close(self) -> None:
        if self._open is not None:
            if isinstance(self._open, int) and not self._cut_off and object_of("".join(self._input)) is None:
                raise UpstreamProtocol(_NO_OBJECT)
            self._event("content_block_stop", index=self._blocks - 1)
            self._open = None

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._event("message_start", message=self._opening.message([], _RUNNING, None))

    def _event(self, kind: str, **fields: Any) -> None:
        self._events.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields})))

    def _written(self) -> bytes:
        data = b"".join(self._events)
        self._events.clear()
        return data
