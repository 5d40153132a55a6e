"""Where a stream's run gets its chunks from: a model server, a flight that others share, or an entry of a cache."""

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
"""Chunks that came, and the error that follows them, if any."""


class StreamSource(Protocol):
    """The source of one streamed call."""

    @property
    def model(self) -> str:
        """The model that answers, as ``provider/name``; empty before the first content."""

    @property
    def decoder(self) -> Decoder:
        """What reads the stream; there once ``open`` has returned."""

    @property
    def done(self) -> bool:
        """Whether the stream has ended well and all of it was pulled."""

    @property
    def who(self) -> str:
        """Whose code an unexpected exception comes from."""

    async def open(self) -> Pulled:
        """Wait for the first content.

        Raises:
            LocalAgentError: What ended the call before any content.
        """

    async def pull(self) -> Pulled:
        """Wait for what comes next; an error of the server is returned and not raised."""

    def idle(self) -> None:
        """Begin the wait for the next event."""

    def entry(self) -> CacheEntry | None:
        """Return the whole answer for the caches, if it is this source that stores it."""

    def failure_of(self, error: BaseException) -> LocalAgentError | None:
        """Return the typed error of what ended the run; see ``guard``."""

    def end(self, error: LocalAgentError | None, usage: Usage | None = None, *, cancelled: bool = False) -> None:
        """End the work for this call."""

    async def aclose(self) -> None:
        """Return when the connection is closed, if this call was the last to use it."""


def interruption(error: LocalAgentError) -> StreamInterrupted:
    """Return what becomes of an error that ends a stream whose content had begun to arrive."""
    if isinstance(error, StreamInterrupted):
        error.advice = msgspec.structs.replace(error.advice, same=False, next=False, billed="yes")
        return error
    message = f"The stream broke off: {error.message}"
    return StreamInterrupted(message, cause=error, phase=error.phase, code=error.code, detail=error.detail)


def replayed(entry: CacheEntry) -> list[Chunk]:
    """Return the chunks of an entry, as it was streamed or as it would have been.

    Raises:
        InternalError: A cache gave what cannot be replayed.
    """
    try:
        return [chunk_of(event) for event in entry.events or split_document(entry.response.document)]
    except Exception as error:  # the plugin's entry: its bytes may be anything
        raise InternalError(
            f"Plugin {entry.source} failed in cache_lookup: its entry cannot be replayed ({type(error).__name__}).",
            hint="Purge the cache: localagent cache purge",
        ) from error
