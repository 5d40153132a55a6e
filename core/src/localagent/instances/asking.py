"""Questions to instances outside of any call: is it well, which models has it. They cost nothing."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from localagent.pipeline.guard import clock_error_for, failure_of
from localagent.timing.timer import Watch

if TYPE_CHECKING:
    from localagent.instances.connections import Connections
    from localagent.instances.registry import Registry
    from localagent.plugin_api.providers import Provider
    from localagent.records.instances import Instance
    from localagent.records.transport import Transport
    from localagent.timing.services import LoopServices

T = TypeVar("T")
Question = Callable[["Provider", "Instance", "Transport", Watch], Awaitable[T]]
"""Asks: given the provider, the instance, its transport, and what is told which phase begins."""


class Asking:
    """Asks instances.

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
        """Ask an instance; its provider is opened first, if need be.

        Args:
            instance: The instance.
            seconds: How long the answer may take.
            question: The question.

        Raises:
            LocalAgentError: It did not answer.
        """
        provider = self._registry.provider_of(instance)
        with self._services.timer(self._services.clock() + seconds) as timer:
            try:
                await provider.open()
                transport = await self._connections.to(instance)
                clocks = Watch(timer, provider.common.clocks, streamed=False)
                return await question(provider.provider, instance, transport, clocks)
            except BaseException as error:  # the provider's and the transport's code
                late = functools.partial(clock_error_for, instance=instance)
                failure = failure_of(error, timer, f"Provider {instance.provider}", late)
                if failure is None or failure is error:
                    raise
                raise failure from failure.__cause__
