"""What a plugin sees of the core: the narrow ``Core``, and the handle that is given to it when its life begins."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from localagent.errors import InternalError
from localagent.plugin_api.plugin import used_twice
from localagent.records.instances import Instance, Instances, InstanceState
from localagent.records.responses import ModelInfo, Response

if TYPE_CHECKING:
    from localagent.instances.questions import ModelLists
    from localagent.plugin_api.plugin import Plugin
    from localagent.records.call import Call
    from localagent.records.requests import Request
    from localagent.records.transport import ConnectSettings
    from localagent.runtime import Runtime

DEEPEST = 2
"""Calls that a plugin may send on behalf of calls that plugins sent."""


class Models(Protocol):
    """The model lists, as plugins see them."""

    async def refresh(self, instance: Instance, timeout: float = 30.0) -> Sequence[ModelInfo]:
        """Ask the instance itself; the answer also goes to every ``models_listed`` step."""


class Core(Protocol):
    """What the core offers to plugins. ``localagent_testing.FakeCore`` stands in for it in tests."""

    @property
    def instances(self) -> Instances:
        """The instances that are there; they can be added, drained and watched."""

    @property
    def models(self) -> Models:
        """The model lists."""

    @property
    def random(self) -> random.Random:
        """The source of randomness; seeded in tests."""

    @property
    def folder(self) -> Path:
        """A folder of the plugin's own in the state folder.

        Raises:
            SettingsError: It cannot be made or written. Go on without files, and say so with ``not_kept``.
        """

    def not_kept(self, what: str, error: Exception) -> None:
        """Say that something cannot be kept in files: one warning a process, whatever the number of plugins.

        Args:
            what: What is not kept, as in "model lists".
            error: Why.
        """

    @property
    def processes(self) -> int:
        """How many processes serve side by side with the same settings; 1 in a program.

        Each has plugins of its own. A limit for all that is counted in memory is therefore divided by this number.
        """

    async def send(self, request: Request, *, parent: Call) -> Response:
        """Send a request on behalf of a call: principal and deadline inherited, the sender's own steps skipped.

        Raises:
            InternalError: More than two calls deep.
        """

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work beside the path of a request; tracked, bounded, and awaited when the pipeline closes."""

    def state(self, instance: Instance) -> InstanceState:
        """Return the core's counts and health of an instance."""

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return what a transport of an instance has to keep to: size limits, and whom to trust."""

    def hook(self, name: str) -> Callable[..., Any]:
        """Return the caller of a hook that this plugin brings itself."""

    def clock(self) -> float:
        """Return the event loop's monotonic time in seconds (virtual in tests)."""

    def wall(self) -> float:
        """Return the seconds since the epoch, for stores that outlive the process."""


class Handle:
    """A plugin's view of the core: a ``Core`` that is pointed to another one when the plugin is moved there.

    Everything is asked of the newest core that the plugin belongs to, also through methods that a plugin has kept.

    Args:
        runtime: The running core.
        plugin: The plugin's name.
    """

    def __init__(self, runtime: Runtime, plugin: str) -> None:
        self._runtime = runtime
        self._owners = [runtime]
        self._plugin = plugin
        self._spawned: set[asyncio.Task[None]] = set()
        self.clock = runtime.clock  # the event loop's, whichever core asks

    @classmethod
    def given_to(cls, plugin: Plugin, name: str, runtime: Runtime) -> Self:
        """Return a new handle and give it to a plugin that is about to be entered.

        Raises:
            PluginError: The plugin is one object, and another core has it open.
        """
        former = vars(plugin).get("core")
        if isinstance(former, Handle) and not all(owner.is_over for owner in (*former._owners, former._runtime)):
            raise used_twice(name)
        handle = plugin.core = cls(runtime, name)
        return handle

    # How it is moved

    def hold(self, runtime: Runtime) -> None:
        """Belong to a further core, which is being opened; the plugin is not closed before it has left, too."""
        self._owners.append(runtime)

    def follow(self, runtime: Runtime) -> None:
        """Ask this core from now on; it holds the handle already."""
        self._runtime = runtime

    def hand_over(self, runtime: Runtime) -> None:
        """Let another core track what the plugin spawned in one that is closing."""
        others = [owner for owner in self._owners if owner is not runtime]
        if others:
            runtime.give(self._spawned, others[-1])

    def leave(self, runtime: Runtime) -> bool:
        """Belong to a core no longer, because it closes; return whether it was the last."""
        self._owners.remove(runtime)
        if self._owners and self._runtime is runtime:
            self._runtime = self._owners[-1]
        return not self._owners

    # What plugins are given

    @property
    def instances(self) -> Instances:
        """The instances that are there."""
        return self._runtime.instances

    @property
    def models(self) -> ModelLists:
        """The model lists."""
        return self._runtime.models

    @property
    def random(self) -> random.Random:
        """The source of randomness."""
        return self._runtime.random

    @property
    def folder(self) -> Path:
        """A folder of the plugin's own in the state folder."""
        return self._runtime.state_folder.of(self._plugin)

    def not_kept(self, what: str, error: Exception) -> None:
        """Say that the plugin cannot keep something in files."""
        self._runtime.state_folder.not_kept(self._plugin, what, error)

    @property
    def processes(self) -> int:
        """How many processes do the same side by side."""
        return self._runtime.processes

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        return self._runtime.wall()

    def state(self, instance: Instance) -> InstanceState:
        """Return the core's counts and health of an instance, also of one that only an older core has."""
        try:
            return self._runtime.state(instance)
        except KeyError:
            older = [owner for owner in self._owners if instance in owner.instances]
            if not older:
                raise
            return older[-1].state(instance)

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return what a transport keeps to that is brought for an instance."""
        from localagent.records.transport import ConnectSettings

        common = self._runtime.provider_of(instance).common
        return ConnectSettings(common.caps, common.authority)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work beside the path of a request."""
        task = self._runtime.spawn(work, name)
        if task is not None:
            self._spawned.add(task)
            task.add_done_callback(self._spawned.discard)

    async def send(self, request: Request, *, parent: Call) -> Response:
        """Send a request on behalf of a call."""
        runtime, sender = self._runtime, self._plugin
        if parent.depth >= DEEPEST:
            raise InternalError(f"Plugin {sender} sent a call more than {DEEPEST} calls deep.")
        call = runtime.call(request, principal=parent.principal, parent=parent, sender=sender)
        return await runtime.answer(call)

    def hook(self, name: str) -> Callable[..., Any]:
        """Return the caller of a hook that this plugin brings itself."""
        return self._runtime.hook(self._plugin, name)
