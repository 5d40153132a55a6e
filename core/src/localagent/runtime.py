"""The running core of a client, bound to one event loop and one process. It creates and connects all parts.

It opens and closes the services of the event loop, the fleet of instances, the engine of calls, and the plugins. The
lower packages receive individual parts, never the whole core. Plugins see it through the narrow interface ``Core``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from localagent.calls.engine import CallEngine
from localagent.errors import LocalAgentError, PluginError
from localagent.instances.fleet import Fleet
from localagent.plugin_api.handle import Handle
from localagent.records.stats import Stats
from localagent.records.transport import ConnectSettings
from localagent.reporting import core_samples, plugin_samples, process_samples
from localagent.settings.folders import StateFolder
from localagent.structuring.place import read_count
from localagent.timing.services import LoopServices

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Pipeline
    from localagent.plugin_api.plugin import Plugin
    from localagent.records.call import Call
    from localagent.records.instances import Instance
    from localagent.records.requests import Request
    from localagent.records.responses import Response
    from localagent.settings.model import Settings

__all__ = ["PROCESSES_VARIABLE", "Runtime"]

PROCESSES_VARIABLE = "LOCALAGENT_PROCESSES"
"""The environment variable that tells each process of a server how many processes there are."""


class Runtime:
    """The running core of one client.

    Args:
        settings: The settings.
        pipeline: The plugins and their plans.
        environment: The environment variables, for secrets that the settings name.
        seed: The seed of the source of randomness; None takes one from the system.

    Attributes:
        services: Time, timers, randomness and background work.
        fleet: The instances, their providers, connections, health and model lists.
        engine: Runs the calls.
        processes: How many processes run in parallel with the same settings.
        state_folder: The folder in which plugins store files.
        gather: Returns the statistics of all processes that serve with these settings; a server of several processes
            sets it.
    """

    def __init__(
        self, settings: Settings, pipeline: Pipeline, environment: Mapping[str, str], seed: int | None = None
    ) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.environment = environment
        self.processes = read_count(environment, PROCESSES_VARIABLE, 1)
        self.state_folder = StateFolder(settings, environment)
        self.services = services = LoopServices(seed)
        self.fleet = Fleet(services, settings, pipeline)
        self.engine = CallEngine(services, settings, pipeline, self.fleet)
        self.gather: Callable[[], Awaitable[Stats]] | None = None
        self._stack = AsyncExitStack()
        self._handles: dict[str, Handle] = {}
        self._closed = False
        self._closer: asyncio.Task[Any] | None = None
        self._end = asyncio.Event()
        # Shortcuts for plugins and HTTP servers.
        self.clock, self.wall_time, self.random = services.clock, services.wall_time, services.random
        self.background = services.background
        self.instances, self.models = self.fleet.instances, self.fleet.models

    async def open(self, former: Runtime | None = None) -> None:
        """Enter the plugins, in the order of their names.

        Args:
            former: The core from which plugins of the pipeline were taken. They have already been entered, and
                switch to this core once all others have been entered.

        Raises:
            PluginError: A plugin could not start; the error names it.
        """
        try:
            moved = self._hold_plugins_of(former) if former is not None else []
            for name, plugin in self.pipeline.plugins.items():
                if name not in self._handles:
                    await self._enter(name, plugin)
            self.fleet.registry.fill(self.settings, self.pipeline, self.environment, functools.partial(Handle, self))
            for handle in moved:
                handle.follow(self)
            self.fleet.health.start()
        except BaseException:
            await self.aclose()
            raise

    def _hold_plugins_of(self, former: Runtime) -> list[Handle]:
        """Keep plugins open that the former core also has; done before the first await, during which it may close."""
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
        """End streams and background work, then close providers, transports and plugins; idempotent.

        A plugin that has moved to another core continues there with its background work. Concurrent callers all wait
        until everything is closed.
        """
        if self._closed:
            if self.services.loop is asyncio.get_running_loop() and self._closer is not asyncio.current_task():
                await self._end.wait()
            return
        self._closed = True
        self.engine.refuse()
        self._closer = asyncio.current_task()
        try:
            await self._close()
        finally:
            self._end.set()

    @property
    def is_over(self) -> bool:
        """Whether it has closed, or can no longer be closed because its event loop has ended or this is a fork."""
        return self._end.is_set() or not self.services.usable

    async def _close(self) -> None:
        for handle in self._handles.values():
            handle.hand_over(self)
        self.fleet.health.stop()
        closing = AsyncExitStack()  # runs from the last to the first, each one even if others raise
        closing.callback(self.services.wheel.close)
        closing.push_async_callback(self._finish_background)  # work that was started while providers and plugins closed
        closing.push_async_callback(self._stack.aclose)
        closing.push_async_callback(self.fleet.connections.aclose)
        closing.push_async_callback(self.fleet.registry.aclose)
        closing.push_async_callback(self._finish_background)
        closing.callback(self.fleet.models.stop)
        closing.push_async_callback(self.engine.end)
        await closing.aclose()

    async def _finish_background(self) -> None:
        await self.services.background.finish(self.fleet.connections.opening)

    def collect_stats(self, *, without: Container[str] = (), process: bool = True) -> Stats:
        """Return what the core and the plugins report of themselves.

        Args:
            without: Plugins that are not asked, because they have moved to another core of this process.
            process: Whether to include the memory, tasks and descriptors of the process.
        """
        stats = Stats(core_samples(self.services, self.pipeline, self.fleet, self.engine))
        stats.merge(plugin_samples(self.pipeline, without))
        if process:
            stats.merge(process_samples(self.services.loop))
        return stats

    # The interface for plugins; see ``Core``

    async def gather_stats(self) -> Stats:
        """Return the statistics of all processes that serve with these settings."""
        return self.collect_stats() if self.gather is None else await self.gather()

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return the size limits and trusted certificates for the transport of an instance."""
        common = self.fleet.registry.provider_of(instance).common
        return ConnectSettings(common.size_limits, common.authority)

    async def send(self, request: Request, *, parent: Call, sender: str) -> Response:
        """Send a request of a plugin on behalf of a call."""
        call = self.engine.call(request, principal=parent.principal, parent=parent, sender=sender)
        return await self.engine.answer(call)

    def hook(self, plugin: str, name: str) -> Callable[..., Any]:
        """Return a function that calls a hook which a plugin defines.

        Raises:
            PluginError: The plugin does not define the hook.
        """
        spec = self.pipeline.specs.get(name)
        if spec is None or not name.startswith(plugin.replace("-", "_") + "_"):
            raise PluginError(f"Plugin {plugin} does not define a hook {name}.")
        return self.pipeline.caller(name, self.services.loop)
