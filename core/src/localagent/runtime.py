"""The running core: one a client, bound to one event loop and one process.

It owns what plugins and providers must not: their life, instances and counts, transports, the retry budget, work in
the background, and closing. ``Core``, which plugins see, is a narrow view of it.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import os
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from localagent.calls.retry_budget import RetryBudget
from localagent.calls.run import answer
from localagent.errors import Draining, LocalAgentError, PluginError
from localagent.instances.health import Health
from localagent.instances.questions import ModelLists
from localagent.instances.registry import Registry
from localagent.instances.tokens import TokenCounts
from localagent.lifetime import Leaving
from localagent.pipeline.pipeline import Pipeline
from localagent.pipeline.plan import first
from localagent.plugin_api.core import Handle
from localagent.plugin_api.installing import MissingTransport
from localagent.plugin_api.kinds import OPERATIONS
from localagent.records.call import CACHE, NOBODY, NONE_SKIPPED, CachePolicy, Call, Principal
from localagent.records.instances import Instance, Instances, InstanceState, Target, removed
from localagent.records.requests import Request
from localagent.settings.folders import StateFolder
from localagent.settings.model import Settings
from localagent.sharing.flight import Flights
from localagent.structuring.place import read_count
from localagent.supervision import raised_at
from localagent.timing.timer import NEVER, Timer
from localagent.timing.wheel import Wheel
from localagent.timing.work import begun

if TYPE_CHECKING:
    from localagent.calls.stream_run import StreamRun
    from localagent.instances.registry import Source
    from localagent.plugin_api.plugin import Plugin
    from localagent.records.transport import Transport

log = logging.getLogger("localagent")

BACKGROUND_AT_MOST = 1000
CLOSING_SECONDS = 5.0
PROCESSES_VARIABLE = "LOCALAGENT_PROCESSES"
"""The variable by which a front of several processes tells each of them how many there are."""


class Runtime:
    """The running core of one client.

    Args:
        settings: The settings.
        pipeline: The plugins and their plans.
        environment: The environment, for secrets that the settings name.
        seed: Seeds the source of randomness; None takes one from the system.

    Attributes:
        calls: Calls that are under way, but for streams.
        streams: Streams that are open.
        flights: What identical calls share; None where nothing is shared.
        dropped: Pieces of background work that were dropped because too much was under way.
        clock: Returns monotonic seconds, the event loop's.
        wall: Returns the seconds since the epoch; the only place that asks.
        processes: How many processes do the same side by side.
        state_folder: Where plugins keep files.
    """

    def __init__(
        self, settings: Settings, pipeline: Pipeline, environment: Mapping[str, str], seed: int | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self.settings = settings
        self.pipeline = pipeline
        self.environment = environment
        self.processes = read_count(environment, PROCESSES_VARIABLE, 1)
        self.clock = self.loop.time
        self.wall = time.time
        self.random = random.Random(seed)
        self.state_folder = StateFolder(settings, environment)
        self.instances = Instances()
        retry = settings.retry
        self.budget = RetryBudget(self.clock, ratio=retry.ratio, floor=retry.floor, window=retry.window)
        self.calls: set[Call] = set()
        self.streams: set[StreamRun] = set()
        self.models = ModelLists(self)
        self.tokens = TokenCounts(self)
        self.health = Health(self)
        self.registry = Registry(self)
        self._count = self.tokens.of  # bound once: a bound method made for every call is not free
        self.answer = functools.partial(answer, self)
        self.wheel = Wheel(self.loop)
        self._stack = AsyncExitStack()
        self._handles: dict[str, Handle] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.dropped = 0
        self._connecting: dict[Instance, asyncio.Task[Transport]] = {}
        self._plans = {operation: pipeline.plan(operation) for operation in OPERATIONS}
        flights = settings.sharing.flights
        if flights is None:
            flights = any(plan.cache_lookup for plan in self._plans.values())
        self.flights = Flights(self) if flights else None
        self._transports: dict[Instance, Transport] = {}
        self._prefix = f"la-{secrets.token_hex(4)}-"
        self._numbers = itertools.count(1)
        self._closed = False
        self._finished = False
        self._closer: asyncio.Task[Any] | None = None
        self._end = asyncio.Event()

    async def open(self, former: Runtime | None = None) -> None:
        """Enter the plugins, in order of their names; what fails names the plugin.

        Args:
            former: The core from which plugins of the pipeline were taken; they are entered already, and are pointed
                to this one when all others are.

        Raises:
            PluginError: A plugin could not start.
        """
        try:
            moved = self._hold_plugins_of(former) if former is not None else []
            for name, plugin in self.pipeline.plugins.items():
                if name not in self._handles:
                    await self._enter(name, plugin)
            self.registry.fill()
            for handle in moved:
                handle.follow(self)
            self.instances.watch(self._instance_changed)
            self.health.start()
        except BaseException:
            await self.aclose()
            raise

    def _hold_plugins_of(self, former: Runtime) -> list[Handle]:
        """Keep the plugins open that are the former core's, too; before anything is awaited, in which it may close."""
        for name, plugin in self.pipeline.plugins.items():
            if former.pipeline.plugins.get(name) is plugin:
                handle = self._handles[name] = former._handles[name]
                handle.hold(self)
                self._stack.push_async_callback(self._leave, plugin, handle)
        return list(self._handles.values())

    async def _enter(self, name: str, plugin: Plugin) -> None:
        handle = Handle.given_to(plugin, name, self)
        try:
            await plugin.__aenter__()
        except LocalAgentError:
            raise
        except Exception as error:  # the plugin's __aenter__
            raise PluginError(f"Plugin {name} could not start: {type(error).__name__}: {error}.") from error
        self._handles[name] = handle
        self._stack.push_async_callback(self._leave, plugin, handle)

    async def _leave(self, plugin: Plugin, handle: Handle) -> None:
        if handle.leave(self):
            await plugin.__aexit__(None, None, None)

    async def aclose(self) -> None:
        """End streams and background work, close providers, transports and plugins; idempotent.

        A plugin that was moved to another core goes on there, and so does what it spawned. Who closes it while
        somebody else does waits for the same end.
        """
        if self._closed:
            if self.loop is asyncio.get_running_loop() and self._closer is not asyncio.current_task():
                await self._end.wait()
            return
        self._closed = True
        self._closer = asyncio.current_task()
        try:
            await self._close()
        finally:
            self._end.set()

    @property
    def is_over(self) -> bool:
        """Whether it has closed, or nobody can close it any more: its event loop has ended, or this is a fork."""
        return self._end.is_set() or self.loop.is_closed() or self.process != os.getpid()

    async def _close(self) -> None:
        for handle in self._handles.values():
            handle.hand_over(self)
        self.health.stop()
        closing = AsyncExitStack()  # runs from the last to the first, each whatever the others raise
        closing.callback(self.wheel.close)
        closing.push_async_callback(self._finish_background)  # what providers and plugins began while they closed
        closing.push_async_callback(self._stack.aclose)
        closing.push_async_callback(self._close_transports)
        closing.push_async_callback(self.registry.aclose)
        closing.push_async_callback(self._finish_background)
        closing.callback(self.models.stop)
        closing.push_async_callback(self._end_calls)
        await closing.aclose()

    async def _close_transports(self) -> None:
        """Close all connections, also those that were made while the rest ended."""
        closing = AsyncExitStack()
        for transport in self._transports.values():
            closing.push_async_callback(transport.aclose)
        await closing.aclose()

    async def _end_calls(self) -> None:
        """Tell all calls and streams that are under way; each ends in the task that waits for it."""
        self.calls, self.streams = calls, streams = Leaving(self.calls), Leaving(self.streams)
        for call in list(calls):
            call.timer.end(_closed())
        for run in list(streams):
            run.interrupt(_closed())
        if calls or streams:
            await asyncio.wait([calls.empty, streams.empty], timeout=CLOSING_SECONDS)
        for run in list(streams):
            await run.aclose()

    async def _finish_background(self) -> None:
        """Let background work end within a time, and what it begins; then cancel what is left."""
        until = self.loop.time() + CLOSING_SECONDS
        while (tasks := self._background | set(self._connecting.values())) and (left := until - self.loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)
        self._finished = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)  # one may not listen

    # Calls

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
        """Make the call of a request.

        Args:
            request: The request.
            stream: Whether the user reads the answer as a stream.
            timeout: Seconds for the whole call; None means the settings' own.
            principal: Who asks.
            cache: What caches may do.
            parent: The call on whose behalf a plugin sends this one.
            sender: The plugin that sends it on behalf of ``parent``; its steps are skipped.
            receipt: Record what each step decides.
        """
        self.check_open()
        now = self.loop.time()
        deadline = now + (self.settings.timeout if timeout is None else timeout)
        skipped = parent.skipped | {sender} if parent is not None else NONE_SKIPPED
        call = Call(
            id=self.next_id(),
            request=request,
            plan=self._plans[request.operation]
            if parent is None and not receipt
            else self.pipeline.plan(request.operation, recording=receipt, without=skipped),
            timer=Timer(self.loop, deadline if parent is None else min(deadline, parent.deadline), self.wheel, now),
            principal=principal,
            cache=cache,
            stream=stream,
            started=now,
            parent=parent,
            wall=self.wall,
        )
        call.count = self._count
        if skipped:
            call.skipped = skipped
        if receipt:
            call.records = []
        return call

    def check_open(self) -> None:
        """Refuse what would begin now if the client is closed, or closing.

        Raises:
            Draining: It is.
        """
        if self._closed:
            raise Draining("The client is closed.", mend="Open a new one.")

    def next_id(self) -> str:
        """Return the id of one more call."""
        return self._prefix + str(next(self._numbers))

    def targets(self, call: Call) -> tuple[Target, ...]:
        """Return the targets that could answer a call now, in the user's order."""
        return self.registry.targets(call.request.model, call.principal)

    def provider_of(self, instance: Instance) -> Source:
        """Return the configured provider of an instance."""
        return self.registry.sources[instance.provider]

    def state(self, instance: Instance) -> InstanceState:
        """Return the core's counts and health of an instance."""
        return self.instances.state(instance)

    # Connections

    async def connect(self, instance: Instance) -> Transport:
        """Return the transport of an instance, opened once in a task that all callers await; failures are forgotten.

        Raises:
            Draining: The instance was removed.
        """
        state = self.instances.find(instance)
        if state is None:
            raise removed(instance)
        if state.transport is None:
            task = self._connecting.get(instance)
            if task is None:
                task = self.loop.create_task(self._connect(state), name=f"connect {instance.id}")
                self._connecting[instance] = task
                task.add_done_callback(lambda done: self._connecting.pop(instance, None))
            await asyncio.shield(task)
        transport: Transport = state.transport
        return transport

    async def _connect(self, state: InstanceState) -> Transport:
        steps = self.pipeline.steps["connect"]
        brought = None
        if steps:
            with Timer(self.loop, NEVER, self.wheel) as timer:
                brought, _ = await first(steps, timer, state.instance)
        if brought is None:
            brought = MissingTransport(state.instance)
        if self.instances.find(state.instance) is not state:  # it went away meanwhile
            await brought.aclose()
            raise removed(state.instance)
        state.transport = self._transports[state.instance] = brought
        return brought

    def _instance_changed(self, what: str, instance: Instance) -> None:
        transport = self._transports.pop(instance, None) if what == "removed" else None
        if transport is not None:
            self.begin(transport.aclose(), "close transport")

    # What plugins are given

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Run work beside the path of a request; dropped (None) and counted when too much is under way.

        While the client closes, work goes on that work which is still under way asks for. What comes later is dropped.
        """
        if self._finished:
            work.close()
            log.debug("Background work (%s) was dropped: the client is closed.", name)
            return None
        if len(self._background) >= BACKGROUND_AT_MOST:
            work.close()
            self.dropped += 1
            if self.dropped == 1:
                log.warning("Background work (%s) was dropped: there is too much of it. Further is counted.", name)
            return None
        return self.begin(work, name)

    def begin(self, work: Coroutine[Any, Any, None], name: str, *, at_once: bool = False) -> asyncio.Task[None]:
        """Run work of the core's own, which must not be dropped; tracked as what plugins spawn.

        Args:
            work: The work.
            name: What it is, for logs.
            at_once: Whether it begins before this returns, where Python can: a turn of the loop less.
        """
        name = f"localagent {name}"
        task = begun(work, self.loop, name) if at_once else self.loop.create_task(work, name=name)
        if task.done():
            self._background_done(task)
        else:
            self._background.add(task)
            task.add_done_callback(self._background_done)
        return task

    def give(self, tasks: Iterable[asyncio.Task[None]], other: Runtime) -> None:
        """Let another core track work from now on that was begun here."""
        for task in self._background.intersection(tasks):
            self._background.discard(task)
            task.remove_done_callback(self._background_done)
            other._background.add(task)
            task.add_done_callback(other._background_done)

    def _background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("Background work (%s) failed: %s.", task.get_name(), raised_at(error))

    def in_background(self) -> bool:
        """Say whether the task that runs now is background work."""
        return asyncio.current_task() in self._background

    @property
    def background(self) -> int:
        """How many pieces of background work are under way."""
        return len(self._background)

    def hook(self, plugin: str, name: str) -> Callable[..., Any]:
        """Return the caller of a hook that a plugin brings."""
        spec = self.pipeline.specs.get(name)
        if spec is None or not name.startswith(plugin.replace("-", "_") + "_"):
            raise PluginError(f"Plugin {plugin} brings no hook {name}.")
        return self.pipeline.caller(name, self.loop)


def _closed() -> Draining:
    return Draining("The client was closed.")
