"""The common schema: event streams, and the documents of the OpenAI API: read, join, split.

For authors of providers whose protocol is another one, and of gateways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.schema.answer_events import (
        AnswerEvent as AnswerEvent, CallBegun as CallBegun, CallPiece as CallPiece, Ended as Ended, Refusal as Refusal,
        Text as Text, Thought as Thought,
    )
    from localagent.schema.answer_reader import AnswerReader as AnswerReader, read_answer as read_answer
    from localagent.schema.joining import Joiner as Joiner, join_events as join_events
    from localagent.schema.streams import NDJSONParser as NDJSONParser, SSEParser as SSEParser
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "answer_events": "AnswerEvent CallBegun CallPiece Ended Refusal Text Thought",
        "answer_reader": "AnswerReader read_answer",
        "joining": "Joiner join_events",
        "streams": "NDJSONParser SSEParser",
    },
)
