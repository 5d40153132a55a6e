"""The flight of a stream, and its readers: one log, and one cursor per reader."""

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
        log: The events from the source.
        begun: Whether content has arrived.
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
        """Return the options of the stream, which change its events but not the answer."""
        options = call.request.get("stream_options")
        return None if options is None else msgspec.json.encode(options)

    def takes(self, call: Call) -> bool:
        """Return whether another call may join: the log must still have its beginning."""
        return self.log.whole and super().takes(call)

    def enter(self, interrupt: Interrupt) -> Cursor:
        """Add a reader; return its cursor.

        Args:
            interrupt: Ends the reader's run with an error if it reads too slowly.
        """
        cursor = self.log.join()
        self._interrupt[cursor] = interrupt
        return cursor

    def exit(self, cursor: Cursor) -> None:
        """Remove a reader; idempotent."""
        self._interrupt.pop(cursor, None)
        self.log.leave(cursor)
        self._go_on()

    def read(self, cursor: Cursor) -> list[Chunk]:
        """Return the chunks that a reader has not read yet."""
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
        """Wait for the fastest reader. The server's timeouts are paused meanwhile, but not the deadline."""
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
        """The decoder of the stream; available once content has arrived."""
        return self._flight.upstream.decoder

    @property
    def done(self) -> bool:
        """Whether the stream has ended without an error and this reader has read all of it."""
        flight = self._flight
        return flight.over and flight.error is None and self._cursor.events == flight.log.events

    @property
    def who(self) -> str:
        """Whose code an unexpected exception comes from."""
        return self._flight.upstream.who

    async def open(self) -> Pulled:
        """Wait for the first content; a later reader gets everything that has arrived.

        Raises:
            LocalAgentError: The error that ended the flight before any content.
        """
        flight = self._flight
        while not (flight.begun or flight.over):
            await flight.news(self._call)
        if flight.begun:
            return self._read()
        assert flight.error is not None
        raise own_error(flight.error)

    async def pull(self) -> Pulled:
        """Wait for the next chunks; the flight's error is returned, not raised."""
        flight = self._flight
        while self._cursor.events == flight.log.events and not flight.over:
            await flight.news(self._call)
        return self._read()

    def idle(self) -> None:
        """Do nothing: the flight manages the server's timeouts."""

    def entry(self) -> None:
        """Return None: the flight stores the answer."""

    def failure_of(self, error: BaseException) -> LocalAgentError | None:
        """Return the typed error for the exception that ended the reader's run; see ``guard``."""
        return failure_of(error, self._call.timer, self.who)

    def end(self, error: LocalAgentError | None, usage: Usage | None = None, *, cancelled: bool = False) -> None:
        """Leave the flight."""
        self._flight.exit(self._cursor)
        self._flight.leave(self._call)

    async def aclose(self) -> None:
        """Wait until the connection is closed, if this was the last reader."""
        await self._flight.aclose()

    def _read(self) -> Pulled:
        flight = self._flight
        chunks = flight.read(self._cursor)
        return chunks, own_error(flight.error) if flight.error is not None else None


def _slow() -> StreamInterrupted:
    return StreamInterrupted(
        "The stream was read too slowly: other readers of the same stream are far ahead.",
        code="slow_reader", advice=Advice(billed="yes"), hint="Read faster, or pass cache=False.",
    )  # fmt: skip
