"""The engine that creates and runs a client's calls, and ends active calls when the client closes."""

from __future__ import annotations

import asyncio
import functools
import itertools
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from localagent.calls.retry_budget import RetryBudget
from localagent.calls.run import answer, fresh
from localagent.errors import Draining
from localagent.plugin_api.kinds import OPERATIONS
from localagent.records.call import CACHE, NOBODY, NONE_SKIPPED, CachePolicy, Call, Principal
from localagent.records.receipt_lines import StepRecords
from localagent.sharing.caches import Caches
from localagent.sharing.flight import Flights
from localagent.timing.background import CLOSING_SECONDS
from localagent.timing.timer import Timer

if TYPE_CHECKING:
    from localagent.calls.answer_stream import AnswerStream
    from localagent.calls.stream_run import StreamRun
    from localagent.calls.stream_source import Upstream
    from localagent.instances.fleet import Fleet
    from localagent.pipeline.pipeline import Pipeline
    from localagent.records.instances import Target
    from localagent.records.requests import Request
    from localagent.settings.model import Settings
    from localagent.timing.services import LoopServices

T = TypeVar("T")


class CallEngine:
    """Runs the calls of one client.

    Args:
        services: The services of the event loop.
        settings: The settings.
        pipeline: The plugins and their plans.
        fleet: The instances that answer.

    Attributes:
        answer: Runs a call that is not streamed; see ``calls.run.answer``.
        budget: The retry budget of all calls.
        caches: The caches.
        calls: The active calls, without streams.
        clock: Returns the monotonic seconds of the event loop.
        fleet: The instances that answer.
        flights: The shared work of identical calls; None if nothing is shared.
        max_attempts: The maximum number of attempts per call.
        services: The services of the event loop.
        streams: The open streams.
    """

    def __init__(self, services: LoopServices, settings: Settings, pipeline: Pipeline, fleet: Fleet) -> None:
        self.services = services
        self.clock = services.clock
        self.fleet = fleet
        self.max_attempts = settings.max_attempts
        retry = settings.retry
        self.budget = RetryBudget(self.clock, ratio=retry.ratio, floor=retry.floor, window=retry.window)
        self.calls: set[Call] = set()
        self.streams: set[StreamRun] = set()
        self.answer = functools.partial(answer, self)
        self._timeout = settings.timeout
        self._pipeline = pipeline
        self._plans = {operation: pipeline.plan(operation) for operation in OPERATIONS}
        self._count = fleet.tokens.of  # bound once, because creating a bound method for every call has a cost
        self._prefix = f"la-{secrets.token_hex(4)}-"
        self._numbers = itertools.count(1)
        self._closed = False
        self.caches = Caches(services, settings.sharing, self.targets)
        shared = settings.sharing.flights
        if shared is None:
            shared = any(plan.cache_lookup for plan in self._plans.values())
        fresh_answer = functools.partial(fresh, self)
        self.flights = Flights(services, self.caches, fresh_answer, self._upstream, self.new_id) if shared else None

    def call(
        self,
        request: Request,
        *,
        stream: bool = False,
        timeout: float | None = None,
        principal: Principal = NOBODY,
        cache: CachePolicy = CACHE,
        parent: Call | None = None,
        sender: str = "",
        receipt: bool = False,
    ) -> Call:
        """Create the call of a request.

        Args:
            request: The request.
            stream: Whether the user reads the answer as a stream.
            timeout: Seconds for the whole call; None means the value from the settings.
            principal: The principal of the caller.
            cache: How caches may be used.
            parent: The call on whose behalf a plugin sends this one.
            sender: The plugin that sends it on behalf of ``parent``; its steps are skipped.
            receipt: Whether to record the decisions of each step.

        Raises:
            Draining: The client is closed.
        """
        self.check_open()
        services = self.services
        now = self.clock()
        deadline = now + (self._timeout if timeout is None else timeout)
        skipped = parent.skipped | {sender} if parent is not None else NONE_SKIPPED
        call = Call(
            id=self.new_id(),
            request=request,
            plan=self._plans[request.operation]
            if parent is None and not receipt
            else self._pipeline.plan(request.operation, recording=receipt, without=skipped),
            timer=Timer(
                services.loop, deadline if parent is None else min(deadline, parent.deadline), services.wheel, now
            ),
            principal=principal,
            cache=cache,
            stream=stream,
            started=now,
            parent=parent,
            wall_time=services.wall_time,
        )
        call.count = self._count
        if skipped:
            call.skipped = skipped
        if receipt:
            call.records = StepRecords(self.clock)
        return call

    def stream(self, call: Call) -> AnswerStream:
        """Return the handle of a streamed call; the request is sent when it is entered or read."""
        from localagent.calls.answer_stream import AnswerStream
        from localagent.calls.stream_run import StreamRun

        return AnswerStream(StreamRun(self, call))

    def check_open(self) -> None:
        """Raise an error if the client is closed or closing.

        Raises:
            Draining: The client is closed.
        """
        if self._closed:
            raise Draining("The client is closed.", hint="Create a new client.")

    def new_id(self) -> str:
        """Return a new call id."""
        return self._prefix + str(next(self._numbers))

    def targets(self, call: Call) -> tuple[Target, ...]:
        """Return the targets that can currently answer a call, in the user's order."""
        return self.fleet.names.targets(call.request.model, call.principal)

    def refuse(self) -> None:
        """Refuse new calls, because the client closes."""
        self._closed = True

    async def end(self) -> None:
        """End all active calls and streams; each ends in the task that waits for it."""
        self.calls, self.streams = calls, streams = Leaving(self.calls), Leaving(self.streams)
        for call in list(calls):
            call.timer.end(_closed())
        for run in list(streams):
            run.interrupt(_closed())
        if calls or streams:
            await asyncio.wait([calls.empty, streams.empty], timeout=CLOSING_SECONDS)
        for run in list(streams):
            await run.aclose()

    def _upstream(self, call: Call) -> Upstream:
        from localagent.calls.stream_source import Upstream

        return Upstream(self, call)


def _closed() -> Draining:
    return Draining("The client was closed.")


class Leaving(set[T]):
    """A set with a future for when it is empty; it replaces a plain set when the client closes.

    Args:
        members: The initial members.

    Attributes:
        empty: A future that is done when no member is left.
    """

    def __init__(self, members: Iterable[T]) -> None:
        super().__init__(members)
        self.empty: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._note()

    def discard(self, element: object, /) -> None:
        """Remove a member."""
        super().discard(element)
        self._note()

    def _note(self) -> None:
        if not self and not self.empty.done():
            self.empty.set_result(None)
