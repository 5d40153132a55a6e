"""One worker in the process of ``localagent serve`` itself."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from localagent import StartError
from localagent_gateway.logs.log_lines import Lines
from localagent_gateway.processes.reloading import RELOADED, REPLACED, obeying, reload
from localagent_gateway.processes.serving import Serving
from localagent_gateway.processes.shared_parts import SharedParts
from localagent_gateway.processes.signals import Signals
from localagent_gateway.status.figures import figures
from localagent_gateway.workers.start_objects import keep_for_good
from localagent_gateway.workers.worker import Worker, running


async def serve_alone(serving: Serving, sockets: list[socket.socket], signals: Signals, lines: Lines) -> bool:
    """Serve until a signal ends it, also one that comes before it serves.

    Args:
        serving: What is served.
        sockets: Where to listen.
        signals: What the operator asks for.
        lines: Where requests are logged.

    Returns:
        Whether it was drained; False when a second signal ended it.
    """
    with signals.on_loop():
        async with SharedParts() as parts, contextlib.AsyncExitStack() as stack:
            alone = _Alone(serving, parts, lines)
            if not await signals.unless_ending(alone.start(stack, sockets)):
                return True
            keep_for_good()
            async with serving.told(sockets, alone.figures):
                async with (
                    obeying(signals.reload, alone.reload, **RELOADED),
                    obeying(signals.replace, alone.replace, **REPLACED),
                ):
                    await signals.ending.wait()
                return await signals.unless_now(alone.worker.drain())


class _Alone:
    """The worker, and the settings in force.

    Attributes:
        worker: The worker, as soon as it was started.
    """

    worker: Worker

    def __init__(self, serving: Serving, parts: SharedParts, lines: Lines) -> None:
        self._serving = serving
        self._parts = parts
        self._lines = lines

    async def start(self, stack: contextlib.AsyncExitStack, sockets: list[socket.socket]) -> None:
        """Open everything; the stack closes it."""
        self._serving = await self._serving.with_shared(self._parts)
        client = await stack.enter_async_context(self._serving.client())
        self.worker = await stack.enter_async_context(running(client, self._serving.gateway, sockets, self._lines))

    async def reload(self) -> None:
        """Read the settings again; those before stay in force when that fails."""
        new = await self._serving.again().with_shared(self._parts)
        try:
            await reload(self.worker, new)
        except BaseException:
            self._parts.release(new.lease)
            raise
        old, self._serving = self._serving, new
        self._parts.release_after(old.lease, self.worker.retired())

    async def replace(self) -> None:
        """Refuse: there is no other process.

        Raises:
            StartError: Always.
        """
        raise StartError("There is one, in the process that serves.", mend="Serve with --workers 2.")

    async def figures(self) -> dict[str, Any]:
        """Return how things stand."""
        return {"workers": [figures(self.worker, 1)], "silent": []}
