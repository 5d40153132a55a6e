"""Queries to instances outside of calls: health and model lists. They cost nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from localagent.pipeline.guard import failure_of
from localagent.timing.phases import PhaseTimer

if TYPE_CHECKING:
    from localagent.instances.connections import Connections
    from localagent.instances.registry import Registry
    from localagent.plugin_api.providers import Provider
    from localagent.records.instances import Instance
    from localagent.records.transport import Transport
    from localagent.timing.services import LoopServices

T = TypeVar("T")
Question = Callable[["Provider", "Instance", "Transport", PhaseTimer], Awaitable[T]]
"""Sends a query; takes the provider, the instance, its transport, and the timer to which phases are reported."""


class Asking:
    """Queries instances.

    Args:
        services: The services of the event loop.
        registry: The configured providers.
        connections: The transports.
    """

    def __init__(self, services: LoopServices, registry: Registry, connections: Connections) -> None:
        self._services = services
        self._registry = registry
        self._connections = connections

    async def ask(self, instance: Instance, seconds: float, question: Question[T]) -> T:
        """Query an instance; its provider is opened first if necessary.

        Args:
            instance: The instance.
            seconds: The timeout in seconds.
            question: Sends the query.

        Raises:
            LocalAgentError: The instance did not answer.
        """
        provider = self._registry.provider_of(instance)
        with self._services.timer() as timer:
            phases = PhaseTimer(timer, provider.common.timeouts, instance.id, streamed=False)
            phases.phase = "total"  # until the transport reports a phase
            timer.leave_time(seconds, phases)
            try:
                await provider.open()
                transport = await self._connections.to(instance)
                return await question(provider.provider, instance, transport, phases)
            except BaseException as error:  # the provider's and the transport's code
                failure = failure_of(error, timer, f"Provider {instance.provider}")
                if failure is None or failure is error:
                    raise
                raise failure from failure.__cause__
