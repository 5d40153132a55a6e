"""Runs one streamed call: the same loop of attempts, driven by its consumer.

Timer, source and registries refer to this run, never to the user's handle, so that a discarded handle can be detected.
Parsed chunks in ``ready`` are returned without another await.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localagent.calls.run import finish
from localagent.calls.stream_source import Upstream
from localagent.calls.stream_steps import StreamSteps
from localagent.errors import LocalAgentError
from localagent.pipeline.dispatch import pipe
from localagent.pipeline.guard import failure_of
from localagent.records.reports import receipt_of
from localagent.records.responses import Chunk, EmbedResponse, Usage
from localagent.sharing.caches import may_join
from localagent.sharing.stream_source import interruption, replayed

if TYPE_CHECKING:
    from localagent.calls.engine import CallEngine
    from localagent.records.caching import CacheEntry
    from localagent.records.call import Call
    from localagent.records.reports import Receipt
    from localagent.sharing.stream_source import StreamSource


class StreamRun:
    """One streamed call.

    Attributes:
        ready: Parsed chunks that wait for the consumer.
        call: The call.
        usage: Token counts, if the server reported them.
        finish_reason: Why the first choice ended.
        facts: Further figures that the server reported, such as ``load_seconds``.
        model: The model that answers, as ``provider/name``; empty before the first content.
        open: Whether the run must be closed if the consumer stops reading.
    """

    __slots__ = ("_engine", "_error", "_source", "_started", "_steps", "_text", "call", "facts", "finish_reason",
                 "model", "open", "ready", "usage")  # fmt: skip

    def __init__(self, engine: CallEngine, call: Call) -> None:
        self.call = call
        self.ready: deque[Chunk] = deque()
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.facts: Mapping[str, Any] = {}
        self.model = ""
        self.open = False
        self._engine = engine
        self._started = False
        self._error: LocalAgentError | None = None
        self._source: StreamSource | None = None
        self._steps: StreamSteps | None = None
        self._text = io.StringIO()  # needs one byte per letter, far less than a list of small strings

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run."""
        return self._engine.services.loop

    @property
    def receipt(self) -> Receipt | None:
        """The receipt of the call so far; None unless the call requested it."""
        return None if self.call.records is None else receipt_of(self.call, self._engine.clock())

    async def start(self) -> None:
        """Run until the first content; idempotent.

        Raises:
            LocalAgentError: The error that ended the call before any content.
        """
        if self._started:
            return
        self._engine.check_open()
        self._started = self.open = True
        self._engine.streams.add(self)
        timer = self.call.timer
        timer.enter()
        timer.aside = self._break
        try:
            await self._start()
        except BaseException as error:  # an unexpected exception also becomes a typed error; all is cleaned up
            failure = self._failure_of(error)
            self._end(failure, cancelled=failure is None)
            if failure is None or failure is error:
                raise
            raise failure from failure.__cause__
        finally:
            timer.leave()

    async def next(self) -> Chunk:
        """Return the next chunk.

        Raises:
            StopAsyncIteration: The stream has ended without an error.
            StreamInterrupted: The stream broke off; its ``cause`` is the reason.
        """
        ready = self.ready
        if not ready:
            await self._fill()
        if ready:
            return ready.popleft()
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def batch(self) -> list[Chunk]:
        """Return all chunks that have arrived, at least one; an empty list at the end of the stream.

        Raises:
            StreamInterrupted: The stream broke off; its ``cause`` is the reason.
        """
        ready = self.ready
        if not ready:
            await self._fill()
            if not ready and self._error is not None:
                raise self._error
        chunks = list(ready)
        ready.clear()
        return chunks

    @property
    def over(self) -> bool:
        """Whether the stream has ended without an error and all its chunks have been returned."""
        return self._started and not self.open and self._error is None and not self.ready

    async def _fill(self) -> None:
        """Wait until chunks are ready or the run is over."""
        if not self._started:
            await self.start()
        ready = self.ready
        if ready or not self.open:
            return
        source, timer = self._source, self.call.timer
        assert source is not None
        timer.enter()
        try:
            source.idle()
            while not ready and self.open:
                chunks, error = await source.pull()
                self._take(chunks, error)
                if chunks and not ready and self.open:
                    source.idle()
        except BaseException as error:  # as in ``start``, but after the first content
            failure = self._failure_of(error)
            if failure is None:
                self._end(None, cancelled=True)
                raise
            self._break(failure)
        finally:
            timer.leave()

    def abandon(self) -> None:
        """End the run because its consumer is gone, and close the connection; idempotent, safe in callbacks."""
        if self.open:
            self._end(None, cancelled=True)

    async def aclose(self) -> None:
        """End the run and wait until the source is closed."""
        if not self.open:
            return  # it has ended; data after its terminator is being drained, so that the connection can be kept
        self.abandon()
        if self._source is not None:
            await self._source.aclose()

    async def _start(self) -> None:
        engine, call, plan = self._engine, self.call, self.call.plan
        if plan.pre_request:
            call.request = await pipe(plan.pre_request, call.timer, call, call.request)
        if plan.cache_lookup or plan.cache_store or engine.flights or call.cache.only:
            entry = await engine.caches.lookup(call)
            if entry is not None:
                self._replay(entry)
                return
        self._source = source = self._shared() or Upstream(engine, call)
        chunks, error = await source.open()
        self.model = source.model
        if plan.wrap_stream:
            self._steps = StreamSteps(plan.wrap_stream, call)
        self._take(chunks, error)

    def _shared(self) -> StreamSource | None:
        """Join the flight of identical calls, if flights are enabled and this call may join one."""
        flights = self._engine.flights
        if not flights or not may_join(self.call):
            return None
        from localagent.sharing.stream_flight import FlightReader, StreamFlight

        return FlightReader(flights.of(self.call, StreamFlight), self.call, self.interrupt)

    def _take(self, chunks: Sequence[Chunk], error: LocalAgentError | None) -> None:
        """Process the data from the source, and end the run if it was the last."""
        assert self._source is not None
        if chunks:
            error = self._accept(chunks) or error
        if error is not None:
            self._break(error)
        elif self._source.done:
            self._succeed(self._source)

    def _accept(self, chunks: Sequence[Chunk]) -> LocalAgentError | None:
        """Let the steps change chunks, then append them to ``ready``; return the error of a step that failed."""
        changed = chunks
        try:
            if self._steps is not None:
                changed = self._steps.feed(chunks)
            if len(changed) == 1:  # nearly always
                self._text.write(changed[0].text)
            else:
                self._text.write("".join([chunk.text for chunk in changed]))
        except LocalAgentError as error:
            return error
        except Exception as error:  # an object that is not a chunk, from the last step or else from the provider
            if self._steps is not None and all(isinstance(chunk, Chunk) for chunk in chunks):
                return self._steps.wrap_error(error)
            return self._failure_of(error)
        self.ready.extend(changed)
        return None

    def _succeed(self, source: StreamSource) -> None:
        decoder = source.decoder
        self.usage, self.finish_reason, self.facts = decoder.usage, decoder.finish_reason, dict(decoder.facts)
        try:
            self._last_words()
        except LocalAgentError as error:
            self._break(error)
            return
        entry = source.entry()
        if entry is not None:
            self._engine.caches.store(self.call, entry, self.call.plan.cache_store)
        self._end(None)

    def _last_words(self) -> None:
        if self._steps is not None:
            self.ready.extend(self._steps.end(self.finish_reason or "stop"))

    def _break(self, error: LocalAgentError) -> None:
        """End a stream after its first content: ready chunks are still returned, then StreamInterrupted is raised."""
        interrupted = interruption(error)
        interrupted.partial = self._text.getvalue()
        self._end(interrupted)

    def _end(self, error: LocalAgentError | None, *, cancelled: bool = False) -> None:
        if not self.open:
            return
        self.open = False
        self._error = error
        self._engine.streams.discard(self)
        if self._source is not None:
            self._source.end(error, self.usage, cancelled=cancelled)
        finish(self._engine, self.call, error, self.usage, cancelled=cancelled)

    def _failure_of(self, error: BaseException) -> LocalAgentError | None:
        """Return the typed error for the exception that ended the run; see ``guard``."""
        return failure_of(error, self.call.timer) if self._source is None else self._source.failure_of(error)

    def _replay(self, entry: CacheEntry) -> None:
        """Replay a cache entry, as it was streamed or as it would have been streamed."""
        response = entry.response
        self.usage, self.model = response.usage, response.model
        self.finish_reason = None if isinstance(response, EmbedResponse) else response.finish_reason
        if self.call.plan.wrap_stream:
            self._steps = StreamSteps(self.call.plan.wrap_stream, self.call)
        error = self._accept(replayed(entry))
        if error is not None:
            raise error
        self._last_words()
        self._end(None)

    def interrupt(self, error: LocalAgentError) -> None:
        """End the run from outside; the reader gets a StreamInterrupted error."""
        if self.call.timer.inside:
            self.call.timer.end(error)
        elif self.open:
            self._break(error)
