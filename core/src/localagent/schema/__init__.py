"""The common schema: parses event streams, and reads, joins and splits documents of the OpenAI API.

For authors of providers with another protocol, and of gateways.
"""

from __future__ import annotations

from localagent.schema.answer_events import AnswerEvent, CallBegun, CallPiece, Ended, Refusal, Text, Thought
from localagent.schema.answer_reader import AnswerReader, read_answer
from localagent.schema.joining import join_events
from localagent.schema.streams import NDJSONParser, SSEParser

__all__ = [
    "AnswerEvent", "AnswerReader", "CallBegun", "CallPiece", "Ended", "NDJSONParser", "Refusal", "SSEParser",
    "Text", "Thought", "join_events", "read_answer",
]  # fmt: skip
