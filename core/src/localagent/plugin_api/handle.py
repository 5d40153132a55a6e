"""The handle that a plugin gets: its ``Core``, which survives a reload of the settings with the plugin."""

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
    from localagent.records.transport import ConnectSettings
    from localagent.settings.folders import StateFolder
    from localagent.timing.services import LoopServices

DEEPEST = 2
"""Calls that a plugin may send on behalf of calls that plugins sent."""


class Owner(Protocol):
    """What a handle asks of a running core that has its plugin open.

    Attributes:
        services: Time, randomness and background work.
        instances: The instances that are there.
        state_folder: Where plugins keep files.
        processes: How many processes do the same side by side.
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
        """Return what a transport keeps to that is brought for an instance."""

    async def send(self, request: Request, *, parent: Call, sender: str) -> Response:
        """Send a request that a plugin makes on behalf of a call."""

    def hook(self, plugin: str, name: str) -> Callable[..., Any]:
        """Return the caller of a hook that a plugin brings."""


class Handle:
    """A plugin's view of the core: a ``Core`` that is pointed to another one when the plugin is moved there.

    Everything is asked of the newest core that the plugin belongs to, also through methods that a plugin has kept.

    Args:
        owner: The running core.
        plugin: The plugin's name.
    """

    def __init__(self, owner: Owner, plugin: str) -> None:
        self._owner = owner
        self._owners = [owner]
        self._plugin = plugin
        self._spawned: set[asyncio.Task[None]] = set()
        self.clock = owner.services.clock  # the event loop's, whichever core asks

    @classmethod
    def given_to(cls, plugin: Plugin, name: str, owner: Owner) -> Self:
        """Return a new handle and give it to a plugin that is about to be entered.

        Raises:
            PluginError: The plugin is one object, and another core has it open.
        """
        former = vars(plugin).get("core")
        if isinstance(former, Handle) and not all(owner.is_over for owner in (*former._owners, former._owner)):
            raise used_twice(name)
        handle = plugin.core = cls(owner, name)
        return handle

    # How it is moved

    def hold(self, owner: Owner) -> None:
        """Belong to a further core, which is being opened; the plugin is not closed before it has left, too."""
        self._owners.append(owner)

    def follow(self, owner: Owner) -> None:
        """Ask this core from now on; it holds the handle already."""
        self._owner = owner

    def hand_over(self, owner: Owner) -> None:
        """Let another core track what the plugin spawned in one that is closing."""
        others = [other for other in self._owners if other is not owner]
        if others:
            owner.services.background.give(self._spawned, others[-1].services.background)

    def leave(self, owner: Owner) -> bool:
        """Belong to a core no longer, because it closes; return whether it was the last."""
        self._owners.remove(owner)
        if self._owners and self._owner is owner:
            self._owner = self._owners[-1]
        return not self._owners

    # What plugins are given

    @property
    def instances(self) -> Instances:
        """The instances that are there."""
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
        """A folder of the plugin's own in the state folder."""
        return self._owner.state_folder.of(self._plugin)

    def not_kept(self, what: str, error: Exception) -> None:
        """Say that the plugin cannot keep something in files."""
        self._owner.state_folder.not_kept(self._plugin, what, error)

    @property
    def processes(self) -> int:
        """How many processes do the same side by side."""
        return self._owner.processes

    def wall_time(self) -> float:
        """Return the seconds since the epoch."""
        return self._owner.services.wall_time()

    def state(self, instance: Instance) -> InstanceState:
        """Return the core's counts and health of an instance, also of one that only an older core has."""
        try:
            return self._owner.instances.state(instance)
        except KeyError:
            older = [owner for owner in self._owners if instance in owner.instances]
            if not older:
                raise
            return older[-1].instances.state(instance)

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return what a transport keeps to that is brought for an instance."""
        return self._owner.connect_settings(instance)

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
        """Return the caller of a hook that this plugin brings itself."""
        return self._owner.hook(self._plugin, name)
