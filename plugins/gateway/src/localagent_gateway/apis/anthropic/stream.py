"""Writes Anthropic's event streams (https://docs.anthropic.com/en/docs/build-with-claude/streaming).

``message_start``, then for each block ``content_block_start``, ``content_block_delta`` and ``content_block_stop``, one
block after the other, then ``message_delta`` with stop reason and usage, and ``message_stop``. The usage is known at
the end alone: ``message_start`` holds zeros, ``message_delta`` all counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, UpstreamProtocol
from localagent_gateway.apis.anthropic.answers import Opening, stop_of, usage_of
from localagent_gateway.apis.anthropic.documents import Choice, Spoken, ToolCall, first_choice
from localagent_gateway.apis.anthropic.errors import error_object

_encode = msgspec.json.Encoder().encode
_RUNNING = {"stop_reason": None, "stop_sequence": None}


@attrs.define
class _Block:
    """The block that is open.

    Attributes:
        kind: text, thinking or tool_use.
        call: Of a tool call: its first piece.
        begun: Of a tool call: whether some of its input was told.
    """

    kind: str
    call: ToolCall | None = None
    begun: bool = False

    def continued_by(self, piece: ToolCall) -> bool:
        """Whether a piece of a tool call belongs to this block; servers exist that give all calls the index 0."""
        call, name = self.call, piece.function.name
        if call is None or (piece.id and call.id and piece.id != call.id):
            return False
        if None not in (piece.index, call.index) and piece.index != call.index:
            return False
        return not (name and self.begun and name != call.function.name)


class MessageWriter:
    """Writes one stream.

    Args:
        opening: What is known of the answer; its model must be set before the first chunk.
        request_id: Told with an error.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, opening: Opening, request_id: str) -> None:
        self._opening = opening
        self._request_id = request_id
        self._events: list[bytes] = []
        self._block: _Block | None = None
        self._blocks = 0
        self._started = self._called = self._refused = False
        self._matched: Any = None

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of these chunks."""
        self._start()
        for chunk in chunks:
            choice = first_choice(chunk.data)
            if choice is not None:
                self._choice(choice)
        return self._written()

    def end(self, stream: AnswerStream) -> bytes:
        """Return the end of the last block and of the message."""
        self._start()
        self._close()
        stop = stop_of(stream.finish_reason, self._opening.stops, self._matched,
                       called=self._called, refused=self._refused)  # fmt: skip
        self._event("message_delta", delta=stop, usage=usage_of(stream.usage))
        self._event("message_stop")
        return self._written()

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the error as an event, which official clients raise; the open block and the message do not end."""
        told = self._written()  # what preceded, in the same chunks, the piece that cannot be told
        return told + b"event: error\ndata: %b\n\n" % _encode(error_object(error, self._request_id))

    def _choice(self, choice: Choice) -> None:
        said = choice.delta or choice.message or Spoken()
        if said.thought:
            self._delta("thinking", {"thinking": "", "signature": ""}, "thinking_delta", thinking=said.thought)
        if text := said.text:
            self._delta("text", {"text": ""}, "text_delta", text=text)
        for piece in said.tool_calls or ():
            self._piece(piece)
        self._refused = self._refused or bool(said.refusal)
        self._matched = choice.stop_reason if choice.stop_reason is not None else self._matched

    def _delta(self, kind: str, empty: dict[str, Any], delta: str, **more: Any) -> None:
        if self._block is None or self._block.kind != kind:
            self._open(_Block(kind), empty)
        self._event("content_block_delta", index=self._blocks - 1, delta={"type": delta, **more})

    def _piece(self, piece: ToolCall) -> None:
        """Tell a piece of a tool call; its input passes as it came: clients join the JSON text."""
        block = self._block
        if block is None or not block.continued_by(piece):
            block = self._open_call(piece)
        given = piece.function.arguments
        text = given if isinstance(given, str) else _encode(given).decode() if given else ""
        if text:
            block.begun = True
            delta = {"type": "input_json_delta", "partial_json": text}
            self._event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _open_call(self, piece: ToolCall) -> _Block:
        name = piece.function.name
        if not name:  # or a piece of a call whose block has ended, which could not be told any more
            raise UpstreamProtocol("A piece of a tool call names no tool and continues none.")
        self._called = True
        block = _Block("tool_use", piece)
        ident = piece.id or self._opening.call_id(self._blocks)
        self._open(block, {"id": ident, "name": name, "input": {}})
        return block

    def _open(self, block: _Block, empty: dict[str, Any]) -> None:
        self._close()
        self._block = block
        self._event("content_block_start", index=self._blocks, content_block={"type": block.kind, **empty})
        self._blocks += 1

    def _close(self) -> None:
        if self._block is not None:
            self._event("content_block_stop", index=self._blocks - 1)
            self._block = None

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
