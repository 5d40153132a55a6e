"""The implementation of ``Core`` that a plugin receives. It survives a reload of the settings with the plugin."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from localagent.errors import InternalError
from localagent.plugin_api.plugin import used_twice
from localagent.records.instances import Instance, Instances, InstanceState
from localagent.records.responses import Response

if TYPE_CHECKING:
    from localagent.plugin_api.core import Models
    from localagent.plugin_api.plugin import Plugin
    from localagent.records.call import Call
    from localagent.records.requests import Request
    from localagent.records.stats import Stats
    from localagent.records.transport import ConnectSettings
    from localagent.settings.folders import StateFolder
    from localagent.timing.services import LoopServices

DEEPEST = 2
"""The maximum nesting depth of calls that plugins send on behalf of other calls."""


class Owner(Protocol):
    """The parts of a running core that a handle needs.

    Attributes:
        services: Time, randomness and background work.
        instances: The table of instances.
        state_folder: The folder in which plugins store files.
        processes: How many processes run in parallel with the same settings.
    """

    services: LoopServices
    instances: Instances
    state_folder: StateFolder
    processes: int

    @property
    def is_over(self) -> bool:
        """Whether it has closed, or can no longer be closed."""

    @property
    def models(self) -> Models:
        """The model lists."""

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return the size limits and trusted certificates for the transport of an instance."""

    async def gather_stats(self) -> Stats:
        """Return the statistics of all processes that serve with these settings."""

    async def send(self, request: Request, *, parent: Call, sender: str) -> Response:
        """Send a request of a plugin on behalf of a call."""

    def hook(self, plugin: str, name: str) -> Callable[..., Any]:
        """Return a function that calls a hook which a plugin defines."""


class Handle:
    """A plugin's view of the core: a ``Core`` that can be redirected to another core when the plugin moves there.

    Every call goes to the newest core that the plugin belongs to, including calls of bound methods that the plugin has
    stored.

    Args:
        owner: The running core.
        plugin: The plugin's name.
    """

    def __init__(self, owner: Owner, plugin: str) -> None:
        self._owner = owner
        self._owners = [owner]
        self._plugin = plugin
        self._spawned: set[asyncio.Task[None]] = set()
        self.clock = owner.services.clock  # the event loop's, so it is the same for all cores

    @classmethod
    def given_to(cls, plugin: Plugin, name: str, owner: Owner) -> Self:
        """Create a handle and set it as the ``core`` of a plugin that is about to be entered.

        Raises:
            PluginError: The plugin was given as an object, and another core has it open.
        """
        former = vars(plugin).get("core")
        if isinstance(former, Handle) and not all(owner.is_over for owner in (*former._owners, former._owner)):
            raise used_twice(name)
        handle = plugin.core = cls(owner, name)
        return handle

    # Moving to another core

    def hold(self, owner: Owner) -> None:
        """Add another core, which is being opened; the plugin stays open until this core has left, too."""
        self._owners.append(owner)

    def follow(self, owner: Owner) -> None:
        """Use this core from now on. It must already hold the handle."""
        self._owner = owner

    def hand_over(self, owner: Owner) -> None:
        """Let another core track the background work of the plugin, because ``owner`` is closing."""
        others = [other for other in self._owners if other is not owner]
        if others:
            owner.services.background.give(self._spawned, others[-1].services.background)

    def leave(self, owner: Owner) -> bool:
        """Remove a core that closes; return whether it was the last one."""
        self._owners.remove(owner)
        if self._owners and self._owner is owner:
            self._owner = self._owners[-1]
        return not self._owners

    # The interface for plugins; see ``Core``

    @property
    def instances(self) -> Instances:
        """The table of instances."""
        return self._owner.instances

    @property
    def models(self) -> Models:
        """The model lists."""
        return self._owner.models

    @property
    def random(self) -> random.Random:
        """The source of randomness."""
        return self._owner.services.random

    @property
    def folder(self) -> Path:
        """The plugin's own folder in the state folder."""
        return self._owner.state_folder.of(self._plugin)

    def not_kept(self, what: str, error: Exception) -> None:
        """Report that the plugin cannot store data in files."""
        self._owner.state_folder.not_kept(self._plugin, what, error)

    @property
    def processes(self) -> int:
        """How many processes run in parallel with the same settings."""
        return self._owner.processes

    def wall_time(self) -> float:
        """Return the seconds since the epoch."""
        return self._owner.services.wall_time()

    def state(self, instance: Instance) -> InstanceState:
        """Return the counts and the health of an instance, including one that only an older core has."""
        try:
            return self._owner.instances.state(instance)
        except KeyError:
            older = [owner for owner in self._owners if instance in owner.instances]
            if not older:
                raise
            return older[-1].instances.state(instance)

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return the size limits and trusted certificates for the transport of an instance."""
        return self._owner.connect_settings(instance)

    async def gather_stats(self) -> Stats:
        """Return what the core and the plugins report, of all processes."""
        return await self._owner.gather_stats()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work in the background."""
        task = self._owner.services.background.spawn(work, name)
        if task is not None:
            self._spawned.add(task)
            task.add_done_callback(self._spawned.discard)

    async def send(self, request: Request, *, parent: Call) -> Response:
        """Send a request on behalf of a call."""
        if parent.depth >= DEEPEST:
            raise InternalError(f"Plugin {self._plugin} sent a call more than {DEEPEST} calls deep.")
        return await self._owner.send(request, parent=parent, sender=self._plugin)

    def hook(self, name: str) -> Callable[..., Any]:
        """Return a function that calls a hook which this plugin defines."""
        return self._owner.hook(self._plugin, name)
