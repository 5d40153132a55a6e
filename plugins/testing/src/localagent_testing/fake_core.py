"""A replacement for the core, in which a plugin's hooks can be called one by one, as the core would call them."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

import attrs

from localagent import (
    Attempt,
    CachePolicy,
    Call,
    ChatRequest,
    ChatResponse,
    Instance,
    InstanceState,
    LocalAgentError,
    ModelInfo,
    Outcome,
    Plugin,
    Principal,
    Request,
    Response,
    Stats,
    Target,
)
from localagent.errors import InternalError, PluginError
from localagent.pipeline import Pipeline, Plan
from localagent.plugin_api import as_loaded
from localagent.records import CACHE, NOBODY, ConnectSettings, Instances, Status
from localagent.timing import NEVER, PhaseTimer, Timeouts, Timer

__all__ = ["FakeCore", "ManualClock", "Plugged", "Sent"]

P = TypeVar("P", bound=Plugin)
#: The answer to a plugin's request: a response, an error, or a function that returns either.
Answer: TypeAlias = Response | Exception | Callable[[Request, Call], Response]

DEEPEST = 2
EPOCH = 1_700_000_000.0


class ManualClock:
    """A clock that only moves when a test advances it: for state machines that take a clock.

    Args:
        now: Its start, in seconds.
    """

    def __init__(self, now: float = 1024.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self.now += seconds


@attrs.frozen
class Sent:
    """A request that a plugin sent through the core.

    Attributes:
        request: The request.
        parent: The call during which it was sent.
    """

    request: Request
    parent: Call


class FakeModels:
    """The model lists: those in ``lists``, and empty ones for other instances.

    Attributes:
        lists: The models of each instance, by its id.
        asked: The ids of the instances that were asked, in order.
    """

    def __init__(self) -> None:
        self.lists: dict[str, Sequence[ModelInfo] | Exception] = {}
        self.asked: list[str] = []

    async def refresh(self, instance: Instance, timeout: float = 30.0) -> Sequence[ModelInfo]:
        """Return the list of an instance; an exception in ``lists`` is raised."""
        self.asked.append(instance.id)
        known = self.lists.get(instance.id, ())
        if isinstance(known, Exception):
            raise known
        return known


class Plugged(Generic[P]):
    """A plugin that was started, and the ways to call it.

    Attributes:
        plugin: The plugin.
        pipeline: A pipeline with only this plugin.
    """

    def __init__(self, plugin: P, pipeline: Pipeline) -> None:
        self.plugin = plugin
        self.pipeline = pipeline

    @property
    def failures(self) -> Mapping[tuple[str, str], int]:
        """The number of failures that the core isolates or skips, by plugin and hook."""
        return self.pipeline.failures.counts

    async def stats(self) -> Stats:
        """Return what the plugin reports; empty if it implements no ``collect_stats``."""
        return Stats(sample for samples in await self.ask("collect_stats") for sample in samples)

    async def ask(self, hook: str, *arguments: Any) -> Any:
        """Call a hook as the core does: the result is checked, the limit applies, failures follow the hook's contract.

        Args:
            hook: The hook's name.
            arguments: The hook's arguments, all of them, in order.

        Returns:
            The value that the core continues with: for PIPE the last value, for CHAIN and COLLECT the list of all.
        """
        result = self.pipeline.caller(hook, asyncio.get_running_loop())(*arguments)
        return result if self.pipeline.specs[hook].sync else await result


class FakeCore:
    """The core as a plugin sees it, controlled by the test.

    ::

        async with FakeCore() as core, core.plugged(MyLimiter, MySettings(limit=1)) as limiter:
            attempt = core.attempt()
            assert await limiter.ask("rate_check", attempt) is None

    ``instances`` and ``state`` are the real ones. Leaving the context waits for spawned work, raises its exceptions,
    and removes the folder.

    Args:
        seed: Seeds ``random``.
        clock: The clock; None means that of the running loop, which is virtual in tests with this mark.
        wall_time: The seconds since the epoch; None lets them follow the clock, from a fixed day on.
        folder: The plugin's folder; None creates a temporary one when it is first used.
        answers: The answers of ``send``, in order; the last one is repeated.
        processes: The number of processes that do the same work.

    Attributes:
        instances: The instances; ``instance`` adds one.
        models: The model lists; ``models.lists`` defines them.
        random: The seeded source of randomness.
        answers: The next answers of ``send``.
        sent: The requests that the plugin has sent.
        hooks: Callers of the hooks that the plugin brings, by name.
        spawned: The names of all work that was spawned.
        unkept: What the plugin reported that it cannot keep, each with the error.
        processes: The number of processes that do the same work.
        stats: What ``gather_stats`` returns.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], float] | None = None,
        wall_time: Callable[[], float] | None = None,
        folder: Path | None = None,
        answers: Sequence[Answer] = (),
        processes: int = 1,
    ) -> None:
        self.processes = processes
        self.instances = Instances()
        self.models = FakeModels()
        self.random = random.Random(seed)
        self.answers: list[Answer] = list(answers)
        self.sent: list[Sent] = []
        self.hooks: dict[str, Callable[..., Any]] = {}
        self.spawned: list[str] = []
        self.unkept: list[tuple[str, Exception]] = []
        self.stats = Stats()
        self._clock = clock
        self._wall_time = wall_time
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.settled()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()

    # What plugins see

    @property
    def folder(self) -> Path:
        """The plugin's folder."""
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="localagent-")
            self._folder = Path(self._temporary.name)
        return self._folder

    def not_kept(self, what: str, error: Exception) -> None:
        """Record what the plugin cannot keep."""
        self.unkept.append((what, error))

    async def send(self, request: Request, *, parent: Call) -> Response:
        """Record a request and return the next answer; without any, a chat answer with the text ``ok``.

        Raises:
            InternalError: The parent is already two calls deep, as with the real core.
            Exception: The next answer is an error.
        """
        if parent.depth >= DEEPEST:
            raise InternalError(f"A plugin sent a call more than {DEEPEST} calls deep.")
        self.sent.append(Sent(request, parent))
        answer = self.answers[0] if self.answers else _ok()
        if len(self.answers) > 1:
            del self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else answer(request, parent)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work in the background; ``settled`` waits for it."""
        self.spawned.append(name)
        self._tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return the defaults: instances have no provider here."""
        return ConnectSettings()

    def state(self, instance: Instance) -> InstanceState:
        """Return the counts and health of an instance; a test may change them."""
        return self.instances.state(instance)

    async def gather_stats(self) -> Stats:
        """Return ``stats``."""
        return self.stats

    def hook(self, name: str) -> Callable[..., Any]:
        """Return a caller from ``hooks``.

        Raises:
            PluginError: There is no hook with this name.
        """
        if name not in self.hooks:
            raise PluginError(f"The plugin brings no hook {name}.")
        return self.hooks[name]

    def clock(self) -> float:
        """Return the clock's time in seconds."""
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()

    def wall_time(self) -> float:
        """Return the seconds since the epoch."""
        return EPOCH + self.clock() if self._wall_time is None else self._wall_time()

    # What tests use

    async def settled(self) -> None:
        """Wait until no spawned work is left.

        Raises:
            Exception: The exception of the first work that failed.
        """
        while self._tasks:
            tasks, self._tasks = self._tasks, []
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    def instance(self, id: str = "one", provider: str = "fake", **fields: Any) -> Instance:
        """Add an instance and return it; ``fields`` are those of ``Instance``."""
        instance = Instance(id, provider, **{"type": provider, "url": f"http://{id}.invalid", **fields})
        self.instances.add(instance)
        return instance

    def target(self, model: str = "m", instance: Instance | None = None, place: int = 0) -> Target:
        """Return a target at an instance; by default at the first one, which is created if necessary."""
        if instance is None:
            instance = next(iter(self.instances), None) or self.instance()
        return Target(instance, model, place)

    def call(
        self,
        request: Request | None = None,
        *,
        principal: Principal = NOBODY,
        cache: CachePolicy = CACHE,
        timeout: float = NEVER,
        stream: bool = False,
        parent: Call | None = None,
    ) -> Call:
        """Make a call as hooks see it.

        Args:
            request: The request; by default a chat that says hello.
            principal: Who makes the call.
            cache: What caches may do.
            timeout: Seconds until its deadline.
            stream: Whether the user reads the answer as a stream.
            parent: The call during which a plugin made this one.
        """
        request = ChatRequest({"messages": [{"role": "user", "content": "Hello."}]}) if request is None else request
        now = self.clock()
        return Call(
            id=f"la-test-{next(self._numbers)}",
            request=request,
            plan=Plan(request.operation),
            timer=Timer(asyncio.get_running_loop(), now + timeout),
            principal=principal,
            cache=cache,
            stream=stream,
            started=now,
            wall_time=self.wall_time,
            parent=parent,
        )

    def attempt(self, call: Call | None = None, target: Target | None = None) -> Attempt:
        """Open an attempt; it counts as in flight until ``close``."""
        call = self.call() if call is None else call
        target = self.target() if target is None else target
        attempt = Attempt(call, target, self.state(target.instance), call.request, self.clock())
        attempt.phases = PhaseTimer(call.timer, Timeouts(), target.instance.id, streamed=call.stream)
        return attempt

    def close(self, attempt: Attempt, status: Status, error: LocalAgentError | None = None) -> None:
        """End an attempt as the core does: it leaves the in-flight count, and deferred functions run.

        Args:
            attempt: The attempt.
            status: How it ends.
            error: The error that ended it.
        """
        attempt.close(Outcome(status, error, started=attempt.started, first=attempt.first, ended=self.clock()))
        attempt.run_deferred()

    @asynccontextmanager
    async def plugged(
        self, source: type[P] | Callable[[Any], P] | P, settings: Any = None
    ) -> AsyncIterator[Plugged[P]]:
        """Create a plugin and start it, as the core does; it is closed with the context.

        Args:
            source: The plugin's class, a factory, or an existing plugin.
            settings: Its filled settings class; None means the defaults. An existing plugin has its own.

        Raises:
            PluginError: The plugin does not fit the hooks.
        """
        loaded = as_loaded([source])
        pipeline = Pipeline(loaded, {loaded[0].name: settings}, clock=self.clock)
        plugin: Any = pipeline.plugins[loaded[0].name]
        plugin.core = self
        async with plugin:
            yield Plugged(plugin, pipeline)


def _ok() -> ChatResponse:
    return ChatResponse(raw=b"{}", text="ok")
