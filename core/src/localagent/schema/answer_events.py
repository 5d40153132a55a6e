"""The contents of an answer as typed events, the same for every shape in which servers write answers.

Events come in the order of the answer. A call begins once, before its pieces; pieces of several calls may alternate.
``Ended`` is the last event.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from localagent.records.responses import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Thought(msgspec.Struct, frozen=True, gc=False):
    """A piece of the reasoning; never empty."""

    text: str


class Text(msgspec.Struct, frozen=True, gc=False):
    """A piece of the text.

    Attributes:
        text: The piece; empty only if it comes with log probabilities.
        logprobs: Log probabilities of its tokens, unchanged.
    """

    text: str
    logprobs: list[Any] | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A piece of the text with which the model refuses; never empty."""

    text: str


class CallBegun(msgspec.Struct, frozen=True, gc=False):
    """A tool call begins.

    Attributes:
        place: Its number among the calls of the answer, from 0.
        id: Its id; empty when the server sent none.
        name: The tool; empty when the server did not name it.
    """

    place: int
    id: str
    name: str


class CallPiece(msgspec.Struct, frozen=True, gc=False):
    """A piece of the arguments of a tool call that has begun; all pieces joined are JSON text, or empty.

    Attributes:
        place: The number of the call.
        arguments: The piece; never empty.
    """

    place: int
    arguments: str


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The answer has ended well.

    Attributes:
        finish_reason: Why it ended; ``tool_calls`` means that there are some.
        usage: Its token counts; None when unknown.
        matched_stop: The stop sequence that ended it, if the server reports it.
        refused: Whether the model refused.
        timings: The server's timings, by its own names; empty when it does not report them.
    """

    finish_reason: FinishReason
    usage: Usage | None = None
    matched_stop: str | None = None
    refused: bool = False
    timings: dict[str, Any] = msgspec.field(default_factory=dict)


AnswerEvent = Thought | Text | Refusal | CallBegun | CallPiece | Ended
