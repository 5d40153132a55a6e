"""The run of one streamed call: the same loop of attempts, pulled by its consumer.

Timer, attempt and registries hold this run, never the handle that the user has; so a handle that is dropped can be
noticed. Parsed chunks that wait are handed out without a further await.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from localagent.attempts import Attempts, clock_error
from localagent.errors import InternalError, LocalAgentError, StreamInterrupted
from localagent.plan import out_of_time, pipe
from localagent.responses import EmbedResponse, Usage
from localagent.run import finish, keep, lookup, receipt
from localagent.stream_steps import StreamSteps
from localagent.streaming import Chunk, Decoder
from localagent.wire.joining import split_document
from localagent.wire.openai_wire import chunk_of, joined_response

if TYPE_CHECKING:
    from localagent.attempt import Attempt, Status
    from localagent.caching import CacheEntry
    from localagent.call import Call
    from localagent.receipt import Receipt
    from localagent.runtime import Runtime
    from localagent.transport import HttpAnswer, Transport

KEEP_AT_MOST = 1024 * 1024
DRAIN_SECONDS = 1.0


class StreamRun:
    """One streamed call.

    Attributes:
        ready: Chunks that were parsed and wait for the consumer.
        call: The call.
        usage: Tokens, when the server reported them.
        finish_reason: Why the first choice ended.
        facts: Further figures that the server reported, such as ``load_seconds``.
        model: The model that answers, as ``provider/name``; empty before the first content.
        open: Whether something would be left behind if nobody read on.
    """

    __slots__ = ("_answer", "_attempt", "_attempts", "_core", "_decoder", "_error", "_kept", "_pending", "_started",
                 "_steps", "_texts", "call", "facts", "finish_reason", "model", "open", "ready", "usage")  # fmt: skip

    def __init__(self, core: Runtime, call: Call) -> None:
        self.call = call
        self.ready: deque[Chunk] = deque()
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.facts: Mapping[str, Any] = {}
        self.model = ""
        self.open = False
        self._core = core
        self._started = False
        self._error: LocalAgentError | None = None
        self._attempts = Attempts(core, call)
        self._attempt: Attempt | None = None
        self._answer: HttpAnswer | None = None
        self._decoder: Decoder | None = None
        self._pending: LocalAgentError | None = None
        self._steps: StreamSteps | None = None
        self._kept: list[bytes] | None = None
        self._texts: list[str] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the run lives."""
        return self._core.loop

    @property
    def receipt(self) -> Receipt | None:
        """What became of the call so far; None unless it was asked for."""
        return None if self.call.records is None else receipt(self._core, self.call)

    async def start(self) -> None:
        """Run until the first content; does nothing the second time.

        Raises:
            LocalAgentError: What ended the call before any content.
        """
        if self._started:
            return
        self._started = self.open = True
        self._core.streams.add(self)
        timer = self.call.timer
        timer.enter()
        timer.aside = self._out_of_time_aside
        try:
            await self._start()
        except LocalAgentError as error:
            self._end(error)
            raise
        except asyncio.CancelledError:
            fired = timer.claim()
            if fired is None:
                self._end(None, cancelled=True)
                raise
            late = out_of_time(fired)
            self._end(late)
            raise late from None
        finally:
            timer.leave()
            if self.open:
                timer.deadline_only()

    async def next(self) -> Chunk:
        """Return the next chunk.

        Raises:
            StopAsyncIteration: The stream has ended well.
            StreamInterrupted: It has not; its ``cause`` says why.
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
        """Return all chunks that wait, at least one; none when the stream has ended well.

        Raises:
            StreamInterrupted: It has not; its ``cause`` says why.
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
        """Whether the stream has ended well and all its chunks were handed out."""
        return self._started and not self.open and self._error is None and not self.ready

    async def _fill(self) -> None:
        """Wait until chunks wait or the run is over."""
        if not self._started:
            await self.start()
        ready = self.ready
        if ready or not self.open:
            return
        assert self._attempt is not None
        timer, clocks = self.call.timer, self._attempt.clocks
        timer.enter()
        try:
            clocks.idle()
            while not ready and self.open:
                await self._pull()
        finally:
            timer.leave()
            if self.open:
                timer.deadline_only()

    def abandon(self) -> None:
        """End the run because nobody reads on; the connection is closed. Idempotent, callable from any callback."""
        if self.open:
            self._end(None, cancelled=True)

    async def aclose(self) -> None:
        """End the run; returns when the source is closed."""
        if not self.open:
            return  # it has ended; what follows its terminator is being drained, so that the connection can be kept
        answer = self._answer
        self.abandon()
        if answer is not None:
            await answer.aclose()

    async def _start(self) -> None:
        core, call, plan = self._core, self.call, self.call.plan
        if plan.pre_request:
            call.request = await pipe(plan.pre_request, call.timer, call, call.request)
        if plan.cache_lookup or plan.cache_store or call.cache.only:
            entry = await lookup(core, call)
            if entry is not None:
                self._replay(entry)
                return
        core.budget.deposit()
        self._attempt, chunks = await self._attempts.run(self._open)
        if call.keys and plan.cache_store:
            self._kept = []
        try:
            if plan.wrap_stream:
                self._steps = StreamSteps(plan.wrap_stream, call)
        except LocalAgentError as error:
            self._attempts.close(self._attempt, "failed", error)
            raise
        self._settle(self._accept(chunks) or self._pending)

    async def _open(self, attempt: Attempt, transport: Transport) -> list[Chunk]:
        """The exchange of one attempt: until its first meaningful chunk, which commits."""
        source = self._core.provider_of(attempt.target.instance)
        self._answer, self._decoder = answer, decoder = await source.provider.stream(attempt, transport)
        buffered: list[Chunk] = []
        error: LocalAgentError | None = None
        try:
            while not decoder.done and error is None:
                chunks, error = await _read(answer, decoder)
                buffered += chunks
                if any(decoder.meaningful(chunk) for chunk in chunks):
                    break
                if error is not None:
                    raise error
        except BaseException:
            answer.abort()
            self._answer = None
            raise
        attempt.first = self._core.clock()
        self.model = attempt.target.name
        self._pending = error
        return buffered

    async def _pull(self) -> None:
        decoder = self._decoder
        assert self._answer is not None
        assert decoder is not None
        assert self._attempt is not None
        try:
            chunks, error = await _read(self._answer, decoder)
        except asyncio.CancelledError:
            fired = self.call.timer.claim()
            if fired is None:
                self._end(None, cancelled=True)
                raise
            chunks, error = [], clock_error(fired, self._attempt)
        except Exception as failure:  # the provider's decoder and the transport's code
            name = self._attempt.target.instance.provider
            chunks, error = [], InternalError(f"Provider {name} failed in a stream: {type(failure).__name__}.")
            error.__cause__ = failure
        if chunks:
            error = self._accept(chunks) or error
            if not self.ready:
                self._attempt.clocks.idle()
        if error is not None or decoder.done:
            self._settle(error)

    def _settle(self, error: LocalAgentError | None) -> None:
        """End the run if its source has ended, well or not."""
        if error is not None:
            self._break(error)
        elif self._decoder is not None and self._decoder.done:
            self._succeed()

    def _accept(self, chunks: Sequence[Chunk]) -> LocalAgentError | None:
        """Take chunks in, changed by the steps; return the error of a step that failed."""
        if self._kept is not None:
            self._kept += [chunk.data for chunk in chunks]
            if sum(map(len, self._kept)) > KEEP_AT_MOST:
                self._kept = None
        if self._steps is not None:
            try:
                chunks = self._steps.feed(chunks)
            except LocalAgentError as error:
                return error
        self.ready.extend(chunks)
        self._texts += [chunk.text for chunk in chunks]
        return None

    def _succeed(self) -> None:
        assert self._decoder is not None
        self.usage = self._decoder.usage
        self.finish_reason = self._decoder.finish_reason
        self.facts = self._decoder.facts
        try:
            if self._steps is not None:
                self.ready.extend(self._steps.end(self.finish_reason or "stop"))
        except LocalAgentError as error:
            self._break(error)
            return
        self._keep()
        answer = self._answer
        if answer is not None and not answer.ended:
            self._core.begin(_drain(answer), "drain")
        self._end(None)

    def _keep(self) -> None:
        """Offer the whole answer to the caches; one that cannot be joined is not kept."""
        if self._kept is None or self._attempt is None:
            return
        try:
            joined = joined_response(self._kept, self._attempt)
        except LocalAgentError:
            return
        keep(self._core, self.call, self._attempt, joined, joined.streamed)

    def _break(self, error: LocalAgentError) -> None:
        """End a stream whose content had begun to arrive: what waits is handed out, then StreamInterrupted."""
        if isinstance(error, StreamInterrupted):
            interrupted = error
            interrupted.advice = msgspec.structs.replace(error.advice, same=False, next=False, billed="yes")
        else:
            interrupted = StreamInterrupted(
                f"The stream broke off: {error.message}", cause=error, phase=error.phase, code=error.code
            )
        interrupted.partial = "".join(self._texts)
        self._end(interrupted)

    def _end(self, error: LocalAgentError | None, *, cancelled: bool = False) -> None:
        if not self.open:
            return
        self.open = False
        self._error = error
        self._core.streams.discard(self)
        if self._answer is not None and (error is not None or cancelled):
            self._answer.abort()
        if self._attempt is not None:
            status: Status = "cancelled" if cancelled else "failed" if error is not None else "ok"
            self._attempts.close(self._attempt, status, error, self.usage)
        finish(self._core, self.call, error, self.usage, cancelled=cancelled)

    def _out_of_time_aside(self) -> None:
        """The deadline passed while the consumer is elsewhere: the source ends now, the next read raises."""
        self.call.timer.fired = None
        self._break(out_of_time())

    def _replay(self, entry: CacheEntry) -> None:
        """Hand out what a cache has, as it was streamed or as it would have been."""
        response = entry.response
        self.usage, self.model = response.usage, response.model
        self.finish_reason = None if isinstance(response, EmbedResponse) else response.finish_reason
        if self.call.plan.wrap_stream:
            self._steps = StreamSteps(self.call.plan.wrap_stream, self.call)
        events = entry.events or split_document(response.document)
        error = self._accept([chunk_of(event) for event in events])
        if error is None and self._steps is not None:
            self.ready.extend(self._steps.end(self.finish_reason or "stop"))
        if error is not None:
            raise error
        self._end(None)

    def interrupt(self, error: LocalAgentError) -> None:
        """End the run from outside; whoever reads on is told that the answer is not whole."""
        if self.call.timer.inside:
            self.call.timer.end(error)
        elif self.open:
            self._break(error)


async def _read(answer: HttpAnswer, decoder: Decoder) -> tuple[list[Chunk], LocalAgentError | None]:
    """Return the chunks of the next bytes, and the error that follows them, if any."""
    try:
        data = await answer.part()
        if data:
            return decoder.feed(data), None
        chunks = decoder.end()
        return chunks, None if decoder.done else StreamInterrupted("The stream ended without its terminator.")
    except LocalAgentError as error:
        return decoder.rest, error


async def _drain(answer: HttpAnswer) -> None:
    """Read what follows the terminator, so that the connection can be used again; close it when that takes long."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await answer.part():
                pass
    except (TimeoutError, LocalAgentError):
        answer.abort()
    finally:
        await answer.aclose()
