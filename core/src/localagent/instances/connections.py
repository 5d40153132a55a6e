"""The connections of a client: one transport per instance, opened when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from localagent.instances.missing_transport import MissingTransport
from localagent.pipeline.dispatch import first
from localagent.records.instances import Instance, Instances, InstanceState, removed

if TYPE_CHECKING:
    from localagent.pipeline.steps import Step
    from localagent.records.transport import Transport
    from localagent.timing.services import LoopServices


class Connections:
    """The transports of one client.

    Args:
        services: The services of the event loop.
        instances: The table of instances.
        steps: The ``connect`` steps, which return transports.
    """

    def __init__(self, services: LoopServices, instances: Instances, steps: Sequence[Step]) -> None:
        self._services = services
        self._instances = instances
        self._steps = steps
        self._transports: dict[Instance, Transport] = {}
        self._opening: dict[Instance, asyncio.Task[Transport]] = {}
        instances.watch(self._changed)

    def __len__(self) -> int:
        """Return how many transports are open."""
        return len(self._transports)

    async def to(self, instance: Instance) -> Transport:
        """Return the transport of an instance, opened once in a task that all callers await; failures are not kept.

        Raises:
            Draining: The instance was removed.
        """
        state = self._instances.find(instance)
        if state is None:
            raise removed(instance)
        if state.transport is None:
            task = self._opening.get(instance)
            if task is None:
                task = self._services.loop.create_task(self._open(state), name=f"connect {instance.id}")
                self._opening[instance] = task
                task.add_done_callback(lambda done: self._opening.pop(instance, None))
            await asyncio.shield(task)
        transport: Transport = state.transport
        return transport

    def opening(self) -> Iterable[asyncio.Task[Transport]]:
        """Return the tasks that are currently opening transports."""
        return self._opening.values()

    async def aclose(self) -> None:
        """Close all transports, including those that were opened while the rest of the client closed."""
        closing = AsyncExitStack()  # closes each one, even if others raise
        for transport in self._transports.values():
            closing.push_async_callback(transport.aclose)
        await closing.aclose()

    async def _open(self, state: InstanceState) -> Transport:
        brought = None
        if self._steps:
            with self._services.timer() as timer:
                brought, _ = await first(self._steps, timer, state.instance)
        if brought is None:
            brought = MissingTransport(state.instance)
        if self._instances.find(state.instance) is not state:  # it was removed in the meantime
            await brought.aclose()
            raise removed(state.instance)
        state.transport = self._transports[state.instance] = brought
        return brought

    def _changed(self, what: str, instance: Instance) -> None:
        transport = self._transports.pop(instance, None) if what == "removed" else None
        if transport is not None:
            self._services.background.begin(transport.aclose(), "close transport")
