"""The streamed answer of a model: the attempts of one call, then the bytes of the attempt that started to answer.

A stream run reads it, or a flight reads it for all its readers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from localagent.calls.attempts import Attempts
from localagent.calls.repetition import without_repetition
from localagent.errors import InternalError, LocalAgentError, ResponseTooLarge, StreamInterrupted
from localagent.http_answers.whole_answers import joined_response
from localagent.pipeline.guard import failure_of
from localagent.records.responses import Chunk, Decoder, Usage
from localagent.sharing.stream_source import Pulled

if TYPE_CHECKING:
    from localagent.calls.engine import CallEngine
    from localagent.instances.configured_provider import ConfiguredProvider
    from localagent.records.attempt import Attempt, Status
    from localagent.records.caching import CacheEntry
    from localagent.records.call import Call
    from localagent.records.transport import HttpAnswer, Transport

log = logging.getLogger("localagent")

KEEP_AT_MOST = 1024 * 1024
DRAIN_SECONDS = 1.0


class Upstream:
    """The source of one streamed call.

    Args:
        engine: The engine that runs the client's calls.
        call: The call, after ``pre_request``.

    Attributes:
        decoder: The decoder of the stream; available once ``open`` has returned.
        model: The model that answers, as ``provider/name``; empty before the first content.
    """

    __slots__ = ("_answer", "_attempt", "_attempts", "_call", "_engine", "_kept", "_most", "_pending", "_size",
                 "_taken", "decoder", "model")  # fmt: skip

    def __init__(self, engine: CallEngine, call: Call) -> None:
        self.model = ""
        self._engine = engine
        self._call = call
        self._attempts = Attempts(engine, call)
        self._attempt: Attempt | None = None
        self._answer: HttpAnswer | None = None
        self.decoder: Decoder
        self._pending: LocalAgentError | None = None
        self._kept: list[bytes] | None = [] if call.keys and call.plan.cache_store and call.cache.store else None
        self._size = 0
        self._taken = 0
        self._most = 0

    @property
    def done(self) -> bool:
        """Whether the stream's terminator has arrived."""
        return self.decoder.done

    async def open(self) -> Pulled:
        """Make attempts until one returns content; from then on the call is committed to that attempt.

        Raises:
            LocalAgentError: The error that ended the call before any content.
        """
        self._engine.budget.deposit()
        self._attempt, chunks = await self._attempts.run(self._commit)
        self.model = self._attempt.target.name
        if self._kept is not None:
            self._keep(chunks)
        if self._pending is not None:
            await without_repetition(self._pending, self._attempt.request)
        return chunks, self._pending

    async def pull(self) -> Pulled:
        """Wait for the next bytes. Errors of the server are returned, not raised.

        Other exceptions (a timeout, a failure of the decoder or the transport) are raised; see ``failure_of``.
        """
        answer, attempt = self._answer, self._attempt
        assert answer is not None
        assert attempt is not None
        chunks, error, size = await _read(answer, self.decoder)
        if self._kept is not None:
            self._keep(chunks)
        self._taken += size
        if self._taken > self._most:
            return chunks, _too_large(self._most, "The stream")
        if error is not None:
            await without_repetition(error, attempt.request)
        return chunks, error

    def idle(self) -> None:
        """Begin the wait for the next event."""
        assert self._attempt is not None
        self._attempt.phases.idle()

    def entry(self) -> CacheEntry | None:
        """Return the complete answer as a cache entry; None if it cannot be joined or may not be stored."""
        if self._kept is None or self._attempt is None:
            return None
        try:
            joined = joined_response(self._kept, self._attempt)
        except LocalAgentError:
            return None
        if joined.usage is None:  # the event with the token counts only reaches callers that request it
            joined = msgspec.structs.replace(joined, usage=self.decoder.usage)
        return self._engine.caches.entry_of(self._call, self._attempt, joined, joined.streamed)

    @property
    def who(self) -> str:
        """Whose code an unexpected exception comes from; the decoder belongs to the provider."""
        return "LocalAgent" if self._attempt is None else f"Provider {self._attempt.target.instance.provider}"

    def failure_of(self, error: BaseException) -> LocalAgentError | None:
        """Return the typed error for the exception that ended the stream; see ``guard``."""
        return failure_of(error, self._call.timer, self.who)

    def end(self, error: LocalAgentError | None, usage: Usage | None = None, *, cancelled: bool = False) -> None:
        """End the attempt, and close the connection or, after a complete answer, read the rest of it. Call it once."""
        if self._answer is not None:
            self._let_go(self._answer, well=error is None and not cancelled)
        if self._attempt is not None:
            status: Status = "cancelled" if cancelled else "failed" if error is not None else "ok"
            self._attempts.close(self._attempt, status, error, usage)

    def _let_go(self, answer: HttpAnswer, *, well: bool) -> None:
        try:
            if not well:
                answer.abort()
            elif not answer.ended:
                self._engine.services.background.begin(_drain(answer), "drain")
        except (Exception, asyncio.CancelledError):  # the transport's code; the attempt ends anyway
            log.exception("A connection to %s could not be closed.", self.model or "a model")

    async def aclose(self) -> None:
        """Wait until the connection is closed."""
        if self._answer is None:
            return
        try:
            await self._answer.aclose()
        except (Exception, asyncio.CancelledError):  # the transport's code; the run already has its outcome
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            log.exception("A connection to %s could not be closed.", self.model or "a model")

    async def _commit(self, attempt: Attempt, provider: ConfiguredProvider, transport: Transport) -> list[Chunk]:
        """The exchange of one attempt: read until the first meaningful chunk, which commits the call to it."""
        self._answer, self.decoder = answer, decoder = _opened(
            provider, await provider.provider.stream(attempt, transport)
        )
        size_limits = provider.common.size_limits
        self._most = size_limits.stream
        buffered: list[Chunk] = []
        self._taken = held = 0
        error: LocalAgentError | None = None
        try:
            while not decoder.done and error is None:
                chunks, error, size = await _read(answer, decoder)
                buffered += chunks
                self._taken += size
                if any(decoder.meaningful(chunk) for chunk in chunks):
                    break
                if error is not None:
                    raise error
                held += sum(len(chunk.data) for chunk in chunks)
                if self._taken > size_limits.body or held > size_limits.event:
                    raise _too_large(
                        size_limits.event if held > size_limits.event else size_limits.body,
                        "The data before any content",
                    )
        except BaseException:
            self._answer = None
            self._let_go(answer, well=False)
            raise
        attempt.first = self._engine.clock()
        self._pending = error
        return buffered

    def _keep(self, chunks: Sequence[Chunk]) -> None:
        """Keep events for the caches, up to ``KEEP_AT_MOST`` bytes."""
        assert self._kept is not None
        self._size += sum(len(chunk.data) for chunk in chunks)
        if self._size > KEEP_AT_MOST:
            self._kept = None
        else:
            self._kept += [chunk.data for chunk in chunks]


def _opened(provider: ConfiguredProvider, opened: Any) -> tuple[HttpAnswer, Decoder]:
    """Return the result of a provider's ``stream``, after checking that it is an answer and a decoder."""
    if isinstance(opened, tuple) and len(opened) == 2:
        return opened
    raise InternalError(
        f"Provider {provider.name} returned {type(opened).__name__} from stream; expected an answer and a decoder."
    )


async def _read(answer: HttpAnswer, decoder: Decoder) -> tuple[list[Chunk], LocalAgentError | None, int]:
    """Return the chunks of the next bytes, the error that follows them, if any, and the number of bytes."""
    size = 0
    try:
        data = await answer.read_chunk()
        if data:
            size = len(data)
            return decoder.feed(data), None, size
        chunks = decoder.end()
        return chunks, None if decoder.done else StreamInterrupted("The stream ended without its terminator."), 0
    except LocalAgentError as error:
        return decoder.rest, error, size


def _too_large(cap: int, what: str) -> ResponseTooLarge:
    return ResponseTooLarge(f"{what} is larger than {cap} bytes.", phase="read")


async def _drain(answer: HttpAnswer) -> None:
    """Read the data after the terminator, so that the connection can be reused; close it if that takes too long."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await answer.read_chunk():
                pass
    except (TimeoutError, LocalAgentError):
        answer.abort()
    finally:
        await answer.aclose()
