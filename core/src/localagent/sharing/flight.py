"""Flights: the work that identical calls share.

A flight is a detached task with a call of its own, which runs the attempts. Its waiters wait beside it, so whoever
leaves touches nobody else; when the last one leaves, it ends. Its deadline is the latest of its waiters'. A failure
reaches all who are there, each as an error of its own, and elects nobody. Calls for whole answers and for streams have
flights apart; a stream's is in ``stream_flight``.

Exactly one waiter of a flight is not ``coalesced``: the first to hear of its end, else the last to leave. Its metric
carries the flight's attempts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from localagent.calls.cache_steps import entry_of, keep_now, offer
from localagent.calls.run import fresh
from localagent.errors import Draining, LocalAgentError
from localagent.pipeline.guard import failure_of, own_error
from localagent.records.call import Call
from localagent.timing.timer import Timer

if TYPE_CHECKING:
    from localagent.records.caching import CacheEntry
    from localagent.records.responses import Response
    from localagent.runtime import Runtime

SOON = 0.002
"""Seconds: whoever leaves this shortly before the flight's deadline leaves because of it."""

AnyFlight = TypeVar("AnyFlight", bound="Flight")


class Flights:
    """The flights of one client that may be joined.

    Args:
        core: The running core.
    """

    def __init__(self, core: Runtime) -> None:
        self._core = core
        self._open: dict[Hashable, Flight] = {}

    @property
    def open(self) -> int:
        """How many flights may be joined."""
        return len(self._open)

    def of(self, call: Call, kind: type[AnyFlight]) -> AnyFlight:
        """Return the flight that a call joins, a new one if there is none; the call has joined it."""
        key = (kind, call.keys, call.skipped, kind.variant(call))
        flight = self._open.get(key)
        if flight is None or not flight.takes(call):
            flight = self._open[key] = kind(self._core, call, key)
            flight.join(call)
            flight.begin()
        else:
            flight.join(call)
        return flight  # type: ignore[return-value]  # the kind is part of the key

    def forget(self, flight: Flight) -> None:
        """Let nobody join a flight any more; another one under its key stays."""
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]

    async def answer(self, call: Call) -> Response:
        """Return the whole answer that a call shares with those that are the same.

        Raises:
            LocalAgentError: What ended the flight.
        """
        flight = self.of(call, WholeFlight)
        try:
            if not flight.over:
                await flight.news(call)
        finally:
            flight.leave(call)
        return flight.answer(call)


class Flight:
    """The work that identical calls share; see the module.

    Args:
        core: The running core.
        opener: The call that opens it.
        key: Its key in the table.

    Attributes:
        call: Its own call, which steps of attempts see.
        key: Its key in the table.
        over: Whether the work is done, well or not; what follows is storing.
        error: What ended it, if an error did.
    """

    at_once = False
    """Whether the work runs until it first has to wait before its opener does."""

    def __init__(self, core: Runtime, opener: Call, key: Hashable) -> None:
        self.key = key
        self.call = _own_call(core, opener)
        self.over = False
        self.error: LocalAgentError | None = None
        self._core = core
        self._given = dict(opener.facts)
        self._waiters: dict[Call, asyncio.Future[None] | None] = {}
        self._carried = False
        self._landed = 0.0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin the work, in a task of its own."""
        self._task = self._core.begin(self._run(), "flight", at_once=self.at_once)
        if self._task.done():
            self._done(self._task)
        else:
            self._task.add_done_callback(self._done)

    @staticmethod
    def variant(call: Call) -> Hashable:
        """Return what else two calls must have in common, beside their keys, to share this kind of flight."""
        return None

    def takes(self, call: Call) -> bool:
        """Whether one more call may join: as long as the answer is no older than the call wants it."""
        oldest = call.cache.max_age
        return not self.over or oldest is None or self._core.wall() - self._landed <= oldest

    def join(self, call: Call) -> None:
        """Take a waiter in; the flight then lasts as long, and is as urgent, as that waiter wants."""
        call.coalesced = self.over or bool(self._waiters)
        self._waiters[call] = None
        own = self.call
        own.priority = max(own.priority, call.priority)
        if call.deadline > own.deadline and not self.over:
            own.deadline = own.timer.deadline = call.deadline

    def leave(self, call: Call) -> None:
        """Let a waiter go and tell its call what it had of the flight; the last one's leaving ends it. Idempotent."""
        if call not in self._waiters:
            return
        del self._waiters[call]
        call.coalesced = self._carried or not (self.over or not self._waiters)
        self._carried = self._carried or not call.coalesced
        self._tell(call)
        if not self._waiters and not self.over:
            self._abandon()
        self._release()

    async def news(self, call: Call) -> None:
        """Wait until something happened, or the waiter's own time is up (CancelledError)."""
        future = self._waiters[call] = self._core.loop.create_future()
        call.timer.deadline_only()
        await future

    async def aclose(self) -> None:
        """Return when the flight is over, if nobody waits for it any more."""
        if not self._waiters and not self.over and self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> CacheEntry | None:
        """Do what the waiters wait for; return what caches shall keep."""
        raise NotImplementedError

    async def _failed(self, error: BaseException) -> LocalAgentError | None:
        """Clean up behind work that raised; return the typed error of it as ``guard`` makes it."""
        return failure_of(error, self.call.timer)

    def _wake(self) -> None:
        for future in self._waiters.values():
            if future is not None and not future.done():
                future.set_result(None)

    async def _run(self) -> None:
        self.call.timer.enter()
        try:
            entry = await self._work()
        except BaseException as error:  # a defect of anybody's is typed, too, and reaches every waiter
            failure = await self._failed(error)
            self._end(failure or _gone())
            if failure is None:
                raise
        else:
            self._end(None, forget=entry is None)
            if entry is not None:
                await self._store(entry)

    async def _store(self, entry: CacheEntry) -> None:
        """Offer the answer to the caches; behind the waiters where that waits: who comes meanwhile shares it."""
        steps = self.call.plan.cache_store
        if keep_now(self.call, entry, steps):
            return
        if self._task is not None:
            self._task.set_name("localagent cache_store")  # from now on it is that, as in a call without a flight
        await asyncio.sleep(0)
        await offer(self._core, self.call, entry, steps)

    def _end(self, error: LocalAgentError | None, *, forget: bool = True) -> None:
        self.over = True
        self.error = error
        self.call.timer.close()
        self._landed = self._core.wall()
        if forget:
            self._forget()
        self._wake()

    def _abandon(self) -> None:
        """End the work because nobody waits for it; if its time is up, its own timer does that."""
        self._forget()
        if self.call.timer.left > SOON and self._task is not None:
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not self.over:  # it was cancelled before it began
            self._end(_gone())
        self._forget()

    def _forget(self) -> None:
        if self._core.flights is not None:
            self._core.flights.forget(self)
        self._release()

    def _release(self) -> None:
        """Break the cycle of the flight's call and its attempts, once nobody can ask for them any more."""
        if self._task is not None and self._task.done() and not self._waiters:
            self.call.attempts.clear()

    def _tell(self, call: Call) -> None:
        """Give a waiter's call what the flight's call has: attempts, receipts' lines, facts that steps left."""
        own = self.call
        call.attempts = list(own.attempts)
        if call.records is not None and own.records:
            call.records += own.records
        for name, value in own.facts.items():
            if name not in self._given or self._given[name] is not value:
                call.facts[name] = value


class WholeFlight(Flight):
    """A flight whose waiters want the whole answer."""

    at_once = True
    response: Response | None = None

    async def _work(self) -> CacheEntry | None:
        attempt, self.response = await fresh(self._core, self.call)
        return entry_of(self._core, self.call, attempt, self.response)

    def answer(self, call: Call) -> Response:
        """Return a waiter's own view of the answer.

        Raises:
            LocalAgentError: What ended the flight, as an error of the waiter's own.
        """
        if self.response is None:
            raise own_error(self.error or _gone())
        facts = dict(self.response.facts)
        return msgspec.structs.replace(self.response, request_id=call.id, facts=facts, coalesced=call.coalesced)


def _own_call(core: Runtime, opener: Call) -> Call:
    """Return the call of a flight: what its opener asks for, with a life of its own."""
    call = Call(
        id=core.next_id(), request=opener.request, plan=opener.plan, stream=opener.stream,
        timer=Timer(core.loop, opener.deadline, core.wheel), principal=opener.principal, cache=opener.cache,
        started=core.clock(), wall=opener.wall, parent=opener.parent,
    )  # fmt: skip
    call.keys, call.skipped, call.count = opener.keys, opener.skipped, opener.count
    call.priority, call.facts = opener.priority, dict(opener.facts)
    call.records = None if opener.records is None else []
    return call


def _gone() -> LocalAgentError:
    return Draining("The work that this call shared with others was ended.")
