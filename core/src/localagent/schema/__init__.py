"""The common schema: event streams, and the documents of the OpenAI API: decode, join, split.

For authors of providers whose protocol is another one, and of gateways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

if TYPE_CHECKING:
    from localagent.schema.joining import Joiner, join_events
    from localagent.schema.openai_wire import (
        OpenAIDecoder,
        chat_response,
        completion_response,
        embed_response,
        events_of,
        joined_response,
    )
    from localagent.schema.streams import NDJSONParser, SSEParser

__all__ = [
    "Joiner",
    "NDJSONParser",
    "OpenAIDecoder",
    "SSEParser",
    "chat_response",
    "completion_response",
    "embed_response",
    "events_of",
    "join_events",
    "joined_response",
]
__getattr__ = lazily(
    __name__,
    {
        "joining": "Joiner join_events",
        "openai_wire": "OpenAIDecoder chat_response completion_response embed_response events_of joined_response",
        "streams": "NDJSONParser SSEParser",
    },
)
