"""Flights: the shared work of identical calls.

A flight is a separate task with its own call, which runs the attempts. The calls that share it are its waiters. A
waiter that leaves does not affect the others; when the last one leaves, the flight ends. Its deadline is the latest
deadline of its waiters. A failure reaches all waiters, each as its own error object, and no waiter retries for the
others. Calls for complete answers and for streams have separate flights; those of streams are in ``stream_flight``.

Exactly one waiter of a flight is not ``coalesced``: the first one to leave after the flight's end, or else the last one
to leave. Its metric carries the flight's attempts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from localagent.errors import Draining, LocalAgentError
from localagent.pipeline.guard import failure_of, own_error
from localagent.records.call import Call
from localagent.records.receipt_lines import StepRecords
from localagent.sharing.caches import store_now

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt
    from localagent.records.caching import CacheEntry
    from localagent.records.responses import Response
    from localagent.sharing.caches import Caches
    from localagent.sharing.stream_source import StreamSource
    from localagent.timing.services import LoopServices

SOON = 0.002
"""Seconds: a waiter that leaves less than this before the flight's deadline leaves because of the deadline."""

AnyFlight = TypeVar("AnyFlight", bound="Flight")


class Flights:
    """The flights of one client that may be joined.

    Args:
        services: The services of the event loop.
        caches: The caches, which store the answers.
        fresh: Gets an answer to a call from a model; returns the attempt, which is closed, and the answer.
        upstream: Returns the source of a model's streamed answer to a call.
        new_id: Returns a new call id.
    """

    def __init__(
        self,
        services: LoopServices,
        caches: Caches,
        fresh: Callable[[Call], Awaitable[tuple[Attempt, Response]]],
        upstream: Callable[[Call], StreamSource],
        new_id: Callable[[], str],
    ) -> None:
        self.services = services
        self.caches = caches
        self.fresh = fresh
        self.upstream = upstream
        self.new_id = new_id
        self._open: dict[Hashable, Flight] = {}

    @property
    def open(self) -> int:
        """The number of flights that can be joined."""
        return len(self._open)

    def of(self, call: Call, kind: type[AnyFlight]) -> AnyFlight:
        """Let a call join its flight, which is created if necessary, and return the flight."""
        key = (kind, call.keys, call.skipped, kind.variant(call))
        flight = self._open.get(key)
        if flight is None or not flight.takes(call):
            flight = self._open[key] = kind(self, call, key)
            flight.join(call)
            flight.begin()
        else:
            flight.join(call)
        return flight  # type: ignore[return-value]  # the kind is part of the key

    def forget(self, flight: Flight) -> None:
        """Allow no more calls to join a flight. Another flight with the same key is not affected."""
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]

    async def answer(self, call: Call) -> Response:
        """Return the complete answer that a call shares with identical calls.

        Raises:
            LocalAgentError: The error that ended the flight.
        """
        flight = self.of(call, WholeFlight)
        try:
            if not flight.over:
                await flight.news(call)
        finally:
            flight.leave(call)
        return flight.answer(call)


class Flight:
    """The shared work of identical calls; see the module.

    Args:
        flights: The table of flights, with the services that they need.
        opener: The call that opens the flight.
        key: The flight's key in the table.

    Attributes:
        call: The flight's own call, which the steps of attempts receive.
        key: The flight's key in the table.
        over: Whether the work has ended, with or without an error; only storing may follow.
        error: The error that ended it, if any.
    """

    at_once = False
    """Whether the work runs up to its first wait before the opener continues."""

    def __init__(self, flights: Flights, opener: Call, key: Hashable) -> None:
        self.key = key
        self.call = _own_call(flights, opener)
        self.over = False
        self.error: LocalAgentError | None = None
        self._flights = flights
        self._services = flights.services
        self._given = dict(opener.facts)
        self._waiters: dict[Call, asyncio.Future[None] | None] = {}
        self._carried = False
        self._landed = 0.0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the work in its own task."""
        self._task = self._services.background.begin(self._run(), "flight", at_once=self.at_once)
        if self._task.done():
            self._done(self._task)
        else:
            self._task.add_done_callback(self._done)

    @staticmethod
    def variant(call: Call) -> Hashable:
        """Return what must be equal in two calls, besides their keys, for them to share this kind of flight."""
        return None

    def takes(self, call: Call) -> bool:
        """Return whether another call may join: the answer must not be older than the call accepts."""
        oldest = call.cache.max_age
        return not self.over or oldest is None or self._services.wall_time() - self._landed <= oldest

    def join(self, call: Call) -> None:
        """Add a waiter; the flight takes its deadline if that is later, and its priority if that is higher."""
        call.coalesced = self.over or bool(self._waiters)
        self._waiters[call] = None
        own = self.call
        own.priority = max(own.priority, call.priority)
        if call.deadline > own.deadline and not self.over:
            own.deadline = own.timer.deadline = call.deadline

    def leave(self, call: Call) -> None:
        """Remove a waiter and copy the flight's data to its call; the flight ends with its last waiter. Idempotent."""
        if call not in self._waiters:
            return
        del self._waiters[call]
        # Exactly one waiter carries the flight's attempts in its metric: the first that leaves after the work is done,
        # or the last one if all leave before that. All others are coalesced.
        carries = not self._carried and (self.over or not self._waiters)
        self._carried = self._carried or carries
        call.coalesced = not carries
        self._report_to(call)
        if not self._waiters and not self.over:
            self._abandon()
        self._release()

    async def news(self, call: Call) -> None:
        """Wait until the flight makes progress. If the waiter's own timeout expires first, CancelledError is raised."""
        future = self._waiters[call] = self._services.loop.create_future()
        call.timer.deadline_only()
        await future

    async def aclose(self) -> None:
        """Wait until the flight is over, if it has no more waiters."""
        if not self._waiters and not self.over and self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> CacheEntry | None:
        """Do the work for the waiters; return the entry that caches should store."""
        raise NotImplementedError

    async def _failed(self, error: BaseException) -> LocalAgentError | None:
        """Clean up after work that raised an exception; return its typed error, see ``guard``."""
        return failure_of(error, self.call.timer)

    def _wake(self) -> None:
        for future in self._waiters.values():
            if future is not None and not future.done():
                future.set_result(None)

    async def _run(self) -> None:
        self.call.timer.enter()
        try:
            entry = await self._work()
        except BaseException as error:  # an unexpected exception also becomes a typed error, and reaches every waiter
            failure = await self._failed(error)
            self._end(failure or _gone())
            if failure is None:
                raise
        else:
            self._end(None, forget=entry is None)
            if entry is not None:
                await self._store(entry)

    async def _store(self, entry: CacheEntry) -> None:
        """Store the answer in the caches; if one is asynchronous, only after the waiters have continued."""
        steps = self.call.plan.cache_store
        if store_now(self.call, entry, steps):
            return
        if self._task is not None:
            self._task.set_name("localagent cache_store")  # its work from now on, as in a call without a flight
        await asyncio.sleep(0)
        await self._flights.caches.offer(self.call, entry, steps)

    def _end(self, error: LocalAgentError | None, *, forget: bool = True) -> None:
        self.over = True
        self.error = error
        self.call.timer.close()
        self._landed = self._services.wall_time()
        if forget:
            self._forget()
        self._wake()

    def _abandon(self) -> None:
        """End the work because it has no waiters; if its deadline has come, its own timer ends it."""
        self._forget()
        if self.call.timer.left > SOON and self._task is not None:
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not self.over:  # it was cancelled before it started
            self._end(_gone())
        self._forget()

    def _forget(self) -> None:
        self._flights.forget(self)
        self._release()

    def _release(self) -> None:
        """Break the reference cycle of the flight's call and its attempts, once they are no longer needed."""
        if self._task is not None and self._task.done() and not self._waiters:
            self.call.attempts.clear()

    def _report_to(self, call: Call) -> None:
        """Copy attempts, receipt records and new facts from the flight's call to a waiter's call."""
        own = self.call
        call.attempts, call.refused_target = list(own.attempts), own.refused_target
        if call.records is not None and own.records:
            call.records += own.records.seen_from((own.started - call.started) * 1e6)
        for name, value in own.facts.items():
            if name not in self._given or self._given[name] is not value:
                call.facts[name] = value


class WholeFlight(Flight):
    """A flight whose waiters want the complete answer."""

    at_once = True
    response: Response | None = None

    async def _work(self) -> CacheEntry | None:
        attempt, self.response = await self._flights.fresh(self.call)
        return self._flights.caches.entry_of(self.call, attempt, self.response)

    def answer(self, call: Call) -> Response:
        """Return a waiter's own view of the answer.

        Raises:
            LocalAgentError: The waiter's own copy of the error that ended the flight.
        """
        if self.response is None:
            raise own_error(self.error or _gone())
        facts = dict(self.response.facts)
        return msgspec.structs.replace(self.response, request_id=call.id, facts=facts, coalesced=call.coalesced)


def _own_call(flights: Flights, opener: Call) -> Call:
    """Return the call of a flight: a copy of its opener's call with its own id, timer and records."""
    call = Call(
        id=flights.new_id(), request=opener.request, plan=opener.plan, stream=opener.stream,
        timer=flights.services.timer(opener.deadline), principal=opener.principal, cache=opener.cache,
        started=flights.services.clock(), wall_time=opener.wall_time, parent=opener.parent,
    )  # fmt: skip
    call.keys, call.skipped, call.count = opener.keys, opener.skipped, opener.count
    call.priority, call.facts = opener.priority, dict(opener.facts)
    call.records = None if opener.records is None else StepRecords(opener.records.clock)
    return call


def _gone() -> LocalAgentError:
    return Draining("The work that this call shared with identical calls was cancelled.")
