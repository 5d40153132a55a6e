"""Opening a client: one task at a time does it, on one event loop in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from localagent.errors import StartError
from localagent.timing.forks import Forks

if TYPE_CHECKING:
    from localagent.plugin_api.plugin import PluginSource
    from localagent.runtime import Runtime
    from localagent.settings.model import Settings

T = TypeVar("T")


class Opening:
    """Lets one task at a time open a client, on the event loop and in the process in which it was made.

    It is opened in the task that asks first, and not in one of its own: a plugin may hold a task group open from its
    beginning to its end, which has to end in the same task.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._forks = Forks.count
        self._lock = asyncio.Lock()
        self._scope: asyncio.Timeout | None = None
        self._opener: asyncio.Task[object] | None = None

    def is_here(self) -> bool:
        """Whether it belongs to the running event loop, and to this process."""
        return self._loop is asyncio.get_running_loop() and self._forks == Forks.count

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work while no other task does.

        Raises:
            StartError: It was ended meanwhile.
        """
        async with self._lock:
            self._opener = asyncio.current_task()
            try:
                async with asyncio.timeout(None) as self._scope:
                    return await work()
            except TimeoutError:
                if self._scope is None or not self._scope.expired():
                    raise
                raise was_closed() from None
            finally:
                self._scope = self._opener = None

    async def end(self) -> None:
        """End the work that is under way; return when it has ended."""
        if not self.is_here() or self._opener is asyncio.current_task():
            return
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(self._loop.time())
        async with self._lock:
            pass


def was_closed() -> StartError:
    """Return the error for code that opens a client that other code closes meanwhile."""
    return StartError("The client was closed while it was opened.", hint="Make a new one.")


async def opened(
    given: Settings | Mapping[str, Any] | Path | str | None,
    plugins: Sequence[PluginSource] | None,
    environment: Mapping[str, str],
    seed: int | None,
    former: Runtime | None,
) -> Runtime:
    """Assemble and open a running core; arguments as of ``Client``, ``former`` is the core that it replaces."""
    from localagent.pipeline.assembly import Assembled, assemble
    from localagent.runtime import Runtime

    replaced = None if former is None else Assembled(former.settings, former.pipeline)
    settings, pipeline, _ = assemble(given, plugins, environment, replaced)
    runtime = Runtime(settings, pipeline, environment, seed)
    await runtime.open(former)
    return runtime
