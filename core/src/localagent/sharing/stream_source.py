"""The sources of a stream run's chunks: a model server, a shared flight, or a cache entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from localagent.errors import InternalError, LocalAgentError, StreamInterrupted
from localagent.http_answers.openai_stream import chunk_of
from localagent.records.responses import Chunk, Decoder, Usage
from localagent.schema.joining import split_document

if TYPE_CHECKING:
    from localagent.records.caching import CacheEntry

Pulled = tuple[Sequence[Chunk], LocalAgentError | None]
"""Chunks that have arrived, and the error that follows them, if any."""


class StreamSource(Protocol):
    """The source of one streamed call."""

    @property
    def model(self) -> str:
        """The model that answers, as ``provider/name``; empty before the first content."""

    @property
    def decoder(self) -> Decoder:
        """The decoder of the stream; available once ``open`` has returned."""

    @property
    def done(self) -> bool:
        """Whether the stream has ended without an error and all of it was pulled."""

    @property
    def who(self) -> str:
        """Whose code an unexpected exception comes from."""

    async def open(self) -> Pulled:
        """Wait for the first content.

        Raises:
            LocalAgentError: The error that ended the call before any content.
        """

    async def pull(self) -> Pulled:
        """Wait for the next chunks; an error of the server is returned, not raised."""

    def idle(self) -> None:
        """Begin the wait for the next event."""

    def entry(self) -> CacheEntry | None:
        """Return the cache entry of the complete answer; None if this source does not store it."""

    def failure_of(self, error: BaseException) -> LocalAgentError | None:
        """Return the typed error for the exception that ended the run; see ``guard``."""

    def end(self, error: LocalAgentError | None, usage: Usage | None = None, *, cancelled: bool = False) -> None:
        """End the work for this call."""

    async def aclose(self) -> None:
        """Wait until the connection is closed, if this call was the last to use it."""


def interruption(error: LocalAgentError) -> StreamInterrupted:
    """Convert an error that ends a stream after its first content to StreamInterrupted."""
    if isinstance(error, StreamInterrupted):
        error.advice = msgspec.structs.replace(error.advice, same=False, next=False, billed="yes")
        return error
    message = f"The stream broke off: {error.message}"
    return StreamInterrupted(message, cause=error, phase=error.phase, code=error.code, detail=error.detail)


def replayed(entry: CacheEntry) -> list[Chunk]:
    """Return the chunks of an entry, as it was streamed or as it would have been streamed.

    Raises:
        InternalError: The cache returned an entry that cannot be replayed.
    """
    try:
        return [chunk_of(event) for event in entry.events or split_document(entry.response.document)]
    except Exception as error:  # the plugin's entry: it may contain any bytes
        raise InternalError(
            f"Plugin {entry.source} failed in cache_lookup: its entry cannot be replayed ({type(error).__name__}).",
            hint="Purge the cache: localagent cache purge",
        ) from error
