"""Writes OpenAI's event streams: the upstream's data bytes, unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError
from localagent_gateway.openai.errors import error_object

_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Writes one stream of chat or completion chunks."""

    content_type = "text/event-stream; charset=utf-8"

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return one event a chunk."""
        if len(chunks) == 1:
            return b"data: %b\n\n" % chunks[0].data
        return b"".join([b"data: %b\n\n" % chunk.data for chunk in chunks])

    def end(self, stream: AnswerStream) -> bytes:
        """Return the terminator."""
        return b"data: [DONE]\n\n"

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the error as an event: the only thing that official clients notice. No terminator follows it."""
        return b"data: %b\n\n" % _encode(error_object(error))
