"""The common schema: event streams, and the documents of the OpenAI API: decode, join, split.

For authors of providers whose protocol is another one, and of gateways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent.lazy import lazily

if TYPE_CHECKING:
    from localagent.schema.joining import Joiner as Joiner
    from localagent.schema.joining import join_events as join_events
    from localagent.schema.openai_wire import OpenAIDecoder as OpenAIDecoder
    from localagent.schema.openai_wire import chat_response as chat_response
    from localagent.schema.openai_wire import completion_response as completion_response
    from localagent.schema.openai_wire import embed_response as embed_response
    from localagent.schema.openai_wire import events_of as events_of
    from localagent.schema.openai_wire import joined_response as joined_response
    from localagent.schema.streams import NDJSONParser as NDJSONParser
    from localagent.schema.streams import SSEParser as SSEParser

_HOMES = {
    "Joiner": "localagent.schema.joining",
    "NDJSONParser": "localagent.schema.streams",
    "OpenAIDecoder": "localagent.schema.openai_wire",
    "SSEParser": "localagent.schema.streams",
    "chat_response": "localagent.schema.openai_wire",
    "completion_response": "localagent.schema.openai_wire",
    "embed_response": "localagent.schema.openai_wire",
    "events_of": "localagent.schema.openai_wire",
    "join_events": "localagent.schema.joining",
    "joined_response": "localagent.schema.openai_wire",
}

__all__ = [*_HOMES]  # noqa: PLE0604
__getattr__ = lazily(__name__, _HOMES)
