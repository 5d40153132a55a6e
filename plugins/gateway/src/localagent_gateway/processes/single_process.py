"""One worker in the process of ``localagent serve`` itself."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from localagent.errors import StartError
from localagent_gateway.logs.json_log import LogWriter
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.reloading import RELOADED, REPLACED, acting_on, reload
from localagent_gateway.processes.shared_resources import SharedResources
from localagent_gateway.processes.worker import Worker, keep_for_good, running
from localagent_gateway.signals import Signals
from localagent_gateway.status.health import worker_stats


async def serve_alone(
    configuration: Configuration, sockets: list[socket.socket], signals: Signals, lines: LogWriter
) -> bool:
    """Serve until a signal ends it, also one that comes before it serves.

    Args:
        configuration: What is served.
        sockets: Where to listen.
        signals: What the operator asks for.
        lines: Where requests are logged.

    Returns:
        Whether it was drained; False when a second signal ended it.
    """
    with signals.on_loop():
        async with SharedResources() as resources, contextlib.AsyncExitStack() as stack:
            alone = _Alone(configuration, resources, lines)
            if not await signals.unless_ending(alone.start(stack, sockets)):
                return True
            keep_for_good()
            async with configuration.told(sockets, alone.stats):
                async with (
                    acting_on(signals.reload, alone.reload, **RELOADED),
                    acting_on(signals.replace, alone.replace, **REPLACED),
                ):
                    await signals.ending.wait()
                return await signals.unless_now(alone.worker.drain())


class _Alone:
    """The worker, and the settings in force.

    Attributes:
        worker: The worker, as soon as it was started.
    """

    worker: Worker

    def __init__(self, configuration: Configuration, resources: SharedResources, lines: LogWriter) -> None:
        self._configuration = configuration
        self._resources = resources
        self._lines = lines

    async def start(self, stack: contextlib.AsyncExitStack, sockets: list[socket.socket]) -> None:
        """Open everything; the stack closes it."""
        self._configuration = await self._configuration.with_shared(self._resources)
        client = await stack.enter_async_context(self._configuration.client())
        self.worker = await stack.enter_async_context(
            running(client, self._configuration.gateway, sockets, self._lines)
        )

    async def reload(self) -> None:
        """Read the settings again; those before stay in force when that fails."""
        new = await self._configuration.again().with_shared(self._resources)
        try:
            await reload(self.worker, new)
        except BaseException:
            self._resources.release(new.lease)
            raise
        old, self._configuration = self._configuration, new
        self._resources.release_after(old.lease, self.worker.retired())

    async def replace(self) -> None:
        """Refuse: there is no other process.

        Raises:
            StartError: Always.
        """
        raise StartError("There is one, in the process that serves.", mend="Serve with --workers 2.")

    async def stats(self) -> dict[str, Any]:
        """Return how things stand."""
        return {"workers": [worker_stats(self.worker, 1)], "silent": []}
