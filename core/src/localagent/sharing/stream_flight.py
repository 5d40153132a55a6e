"""The flight of a stream, and its readers: one log, and a cursor each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import msgspec

from localagent.errors import Advice, LocalAgentError, StreamInterrupted
from localagent.pipeline.guard import failure_of, own_error
from localagent.records.responses import Chunk, Decoder, Usage
from localagent.sharing.flight import Flight, Flights
from localagent.sharing.flight_log import Cursor, FlightLog
from localagent.sharing.stream_source import Pulled, interruption

if TYPE_CHECKING:
    from localagent.records.caching import CacheEntry
    from localagent.records.call import Call

Interrupt = Callable[[LocalAgentError], None]


class StreamFlight(Flight):
    """A flight whose waiters read a stream.

    Attributes:
        upstream: The source.
        log: What came from it.
        begun: Whether content has come.
    """

    def __init__(self, flights: Flights, opener: Call, key: Hashable) -> None:
        super().__init__(flights, opener, key)
        self.upstream = flights.upstream(self.call)
        self.log = FlightLog()
        self.begun = False
        self._interrupt: dict[Cursor, Interrupt] = {}
        self._room: asyncio.Future[None] | None = None

    @staticmethod
    def variant(call: Call) -> Hashable:
        """Return the options of the stream: they change its events, though not the answer."""
        options = call.request.get("stream_options")
        return None if options is None else msgspec.json.encode(options)

    def takes(self, call: Call) -> bool:
        """Whether one more call may join: as long as the log has the beginning."""
        return self.log.whole and super().takes(call)

    def enter(self, interrupt: Interrupt) -> Cursor:
        """Return the cursor of a new reader.

        Args:
            interrupt: Ends the reader's run with an error when it reads too slowly.
        """
        cursor = self.log.join()
        self._interrupt[cursor] = interrupt
        return cursor

    def exit(self, cursor: Cursor) -> None:
        """Let a reader go; idempotent."""
        self._interrupt.pop(cursor, None)
        self.log.leave(cursor)
        self._go_on()

    def read(self, cursor: Cursor) -> list[Chunk]:
        """Return what a reader has not read yet."""
        chunks = self.log.read(cursor)
        self._go_on()
        return chunks

    async def _work(self) -> CacheEntry | None:
        upstream = self.upstream
        chunks, error = await upstream.open()
        self.begun = True
        self._publish(chunks)
        while error is None and not upstream.done:
            if self.log.paused:
                await self._until_read()
            if chunks:
                upstream.idle()
            chunks, error = await upstream.pull()
            self._publish(chunks)
        if error is not None:
            raise error
        entry, usage = upstream.entry(), upstream.decoder.usage
        upstream.end(None, usage)
        return entry

    async def _failed(self, error: BaseException) -> LocalAgentError | None:
        failure = self.upstream.failure_of(error)
        if failure is not None and self.begun:
            failure = interruption(failure)
        self.upstream.end(failure, cancelled=failure is None)
        if failure is None:
            await self.upstream.aclose()
        return failure

    def _publish(self, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            return
        for cursor in self.log.add(chunks):
            self._interrupt.pop(cursor)(_slow())
        self._wake()

    async def _until_read(self) -> None:
        """Wait for the fastest reader. The timeouts of the server are paused, the deadline is not."""
        self.call.timer.deadline_only()
        self._room = self._services.loop.create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _go_on(self) -> None:
        if self._room is not None and not self._room.done() and not self.log.paused:
            self._room.set_result(None)


class FlightReader:
    """One reader of a stream's flight: the ``StreamSource`` of a stream's run.

    Args:
        flight: The flight, which the call has joined.
        call: The call of the run.
        interrupt: Ends the run with an error.
    """

    __slots__ = ("_call", "_cursor", "_flight")

    def __init__(self, flight: StreamFlight, call: Call, interrupt: Interrupt) -> None:
        self._flight = flight
        self._call = call
        self._cursor = flight.enter(interrupt)

    @property
    def model(self) -> str:
        """The model that answers, as ``provider/name``."""
        return self._flight.upstream.model

    @property
    def decoder(self) -> Decoder:
        """What read the stream; there once content has come."""
        return self._flight.upstream.decoder

    @property
    def done(self) -> bool:
        """Whether the stream has ended well and this reader has read it all."""
        flight = self._flight
        return flight.over and flight.error is None and self._cursor.events == flight.log.events

    @property
    def who(self) -> str:
        """Whose code an unexpected exception comes from."""
        return self._flight.upstream.who

    async def open(self) -> Pulled:
        """Wait for the first content; a later reader gets all that has come.

        Raises:
            LocalAgentError: What ended the flight before any content.
        """
        flight = self._flight
        while not (flight.begun or flight.over):
            await flight.news(self._call)
        if flight.begun:
            return self._read()
        assert flight.error is not None
        raise own_error(flight.error)

    async def pull(self) -> Pulled:
        """Wait for what comes next; the flight's error is returned."""
        flight = self._flight
        while self._cursor.events == flight.log.events and not flight.over:
            await flight.news(self._call)
        return self._read()

    def idle(self) -> None:
        """Do nothing: the timeouts of the server belong to the flight."""

    def entry(self) -> None:
        """Return nothing to store: the flight does that."""

    def failure_of(self, error: BaseException) -> LocalAgentError | None:
        """Return the typed error of what ended the reader's run; see ``guard``."""
        return failure_of(error, self._call.timer, self.who)

    def end(self, error: LocalAgentError | None, usage: Usage | None = None, *, cancelled: bool = False) -> None:
        """Leave the flight."""
        self._flight.exit(self._cursor)
        self._flight.leave(self._call)

    async def aclose(self) -> None:
        """Return when the connection is closed, if this was the last reader."""
        await self._flight.aclose()

    def _read(self) -> Pulled:
        flight = self._flight
        chunks = flight.read(self._cursor)
        return chunks, own_error(flight.error) if flight.error is not None else None


def _slow() -> StreamInterrupted:
    return StreamInterrupted(
        "The stream was read too slowly: others who share it are far ahead.",
        code="slow_reader", advice=Advice(billed="yes"), hint="Read faster, or pass cache=False.",
    )  # fmt: skip
