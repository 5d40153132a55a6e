"""The interface of the core for plugins."""

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
    from localagent.records.stats import Stats
    from localagent.records.transport import ConnectSettings


class Models(Protocol):
    """The model lists, as plugins see them."""

    async def refresh(self, instance: Instance, timeout: float = 30.0) -> Sequence[ModelInfo]:
        """Query an instance for its models, and pass the answer to every ``models_listed`` hook.

        Args:
            instance: The instance.
            timeout: Seconds to wait for the answer.

        Raises:
            LocalAgentError: The instance did not answer.
        """


class Core(Protocol):
    """The services that the core offers to a plugin, as ``self.core``.

    In tests, ``localagent_testing.FakeCore`` takes its place.

    Example:
        ::

            @localagent.hookimpl
            def record_metric(self, call, metric):
                self.core.spawn(self.upload(metric), "upload")

    Since: 0.1.
    """

    @property
    def instances(self) -> Instances:
        """The table of instances. Instances can be added, drained and watched."""

    @property
    def models(self) -> Models:
        """The model lists."""

    @property
    def random(self) -> random.Random:
        """The source of randomness; seeded in tests."""

    @property
    def folder(self) -> Path:
        """The plugin's own folder in the state folder.

        Raises:
            SettingsError: It cannot be created or written. Continue without files, and call ``not_kept``.
        """

    def not_kept(self, what: str, error: Exception) -> None:
        """Report that data cannot be stored in files; logs one warning per process, for any number of plugins.

        Args:
            what: The data that is not stored, such as "model lists".
            error: The reason.
        """

    @property
    def processes(self) -> int:
        """How many processes run in parallel with the same settings; 1 in a program.

        Each process has its own plugins. Divide a common limit by this number if it is counted in memory.
        """

    async def send(self, request: Request, *, parent: Call) -> Response:
        """Send a request on behalf of a call. It inherits principal and deadline, and skips this plugin's own steps.

        Args:
            request: The request.
            parent: The call.

        Returns:
            The complete answer.

        Raises:
            LocalAgentError: The error that ended the call; ``InternalError`` if calls are nested more than two deep.
        """

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work in the background. It is tracked, limited in number, and awaited when the pipeline closes.

        Args:
            work: The coroutine.
            name: A name for it, for logs.
        """

    def state(self, instance: Instance) -> InstanceState:
        """Return the counts and the health of an instance."""

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return what a transport of an instance must respect: its size limits and trusted certificates."""

    async def gather_stats(self) -> Stats:
        """Return what the core and the plugins report of themselves, summed over all parallel processes.

        Counters do not fall when one of the processes is replaced.
        """

    def hook(self, name: str) -> Callable[..., Any]:
        """Return a function that calls a hook which this plugin defines; await its result unless the hook is sync."""

    def clock(self) -> float:
        """Return the event loop's monotonic time in seconds; virtual in tests."""

    def wall_time(self) -> float:
        """Return the seconds since the epoch, for data that outlives the process."""
