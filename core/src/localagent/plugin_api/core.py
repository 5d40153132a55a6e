"""What a plugin sees of the core."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from localagent.records.instances import Instance, Instances, InstanceState
from localagent.records.responses import ModelInfo, Response

if TYPE_CHECKING:
    from localagent.records.call import Call
    from localagent.records.requests import Request
    from localagent.records.transport import ConnectSettings


class Models(Protocol):
    """The model lists, as plugins see them."""

    async def refresh(self, instance: Instance, timeout: float = 30.0) -> Sequence[ModelInfo]:
        """Ask the instance itself; the answer also goes to every ``models_listed`` step."""


class Core(Protocol):
    """What the core offers to plugins. ``localagent_testing.FakeCore`` replaces it in tests."""

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
        """Run work in the background. It is tracked and bounded, and awaited when the pipeline closes."""

    def state(self, instance: Instance) -> InstanceState:
        """Return the core's counts and health of an instance."""

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return what a transport of an instance has to keep to: size limits, and whom to trust."""

    def hook(self, name: str) -> Callable[..., Any]:
        """Return the caller of a hook that this plugin brings itself."""

    def clock(self) -> float:
        """Return the event loop's monotonic time in seconds (virtual in tests)."""

    def wall_time(self) -> float:
        """Return the seconds since the epoch, for stores that outlive the process."""
