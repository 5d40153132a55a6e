"""The pieces of a stream that providers and plugins share: chunks, decoders and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from localagent.responses import Usage


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream.

    Attributes:
        data: The event's data: a JSON object in the OpenAI schema, as the upstream sent it.
        text: The text that it adds to the first choice; empty when it adds none.
    """

    data: bytes
    text: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The whole event, decoded anew at each reading."""
        document: dict[str, Any] = msgspec.json.decode(self.data)
        return document


class Decoder(Protocol):
    """Turns the bytes of one streamed answer into chunks; sans-I/O."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, when the server reported them."""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further figures that the server reported, such as ``load_seconds``."""

    @property
    def done(self) -> bool:
        """Whether the terminator has come."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete; ``done`` is true once the terminator came.

        Raises:
            LocalAgentError: The stream says that it failed, or is not the protocol. Chunks that came before it in the
                same bytes are left in ``rest``.
        """

    @property
    def rest(self) -> list[Chunk]:
        """Chunks that preceded the error which ``feed`` raised."""

    def meaningful(self, chunk: Chunk) -> bool:
        """Say whether a chunk carries content; asked until the first that does."""

    def end(self) -> list[Chunk]:
        """Take note that the bytes have ended; return chunks that only the end completes.

        Raises:
            StreamInterrupted: No terminator had come.
        """


@runtime_checkable
class StreamStep(Protocol):
    """A plugin's part in one stream, for one consumer. No iterator, nothing to close."""

    def feed(self, chunk: Chunk) -> Sequence[Chunk] | None:
        """Return what becomes of a chunk: None for unchanged, a sequence instead of it (``()`` swallows)."""

    def end(self, reason: str) -> Sequence[Chunk] | None:
        """Return last chunks when the stream ended well; they pass the later steps. ``reason``: the finish reason."""
