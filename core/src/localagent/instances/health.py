"""The health of instances: passive signals from traffic, and free checks in the background.

A successful request counts like a check, so instances that are answering are not checked in addition. Only instances
that were used are checked, so a client that sends a single request opens no further connections. A check uses what the
provider offers for free (a model list, a health page), never a model.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from localagent.errors import LocalAgentError
from localagent.records.instances import Instance, Instances, InstanceState, Target, removed

if TYPE_CHECKING:
    from localagent.instances.asking import Asking
    from localagent.plugin_api.providers import Provider
    from localagent.records.transport import Transport
    from localagent.settings.model import HealthSettings
    from localagent.timing.phases import PhaseTimer
    from localagent.timing.services import LoopServices

CHECK_SECONDS = 10.0


class Health:
    """The health checks of one client.

    Args:
        services: The services of the event loop.
        settings: Whether and how often instances are checked.
        instances: The table of instances.
        asking: Sends the queries.
    """

    def __init__(self, services: LoopServices, settings: HealthSettings, instances: Instances, asking: Asking) -> None:
        self._services = services
        self._settings = settings
        self._instances = instances
        self._asking = asking
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start checking, unless the settings disable it."""
        if self._settings.enabled:
            # Jitter prevents many processes from checking the same server at the same moment.
            wait = self._settings.interval * self._services.random.uniform(0.8, 1.2)
            self._handle = self._services.loop.call_later(wait, self._round)

    def stop(self) -> None:
        """Stop checking."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def order(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Move targets whose instance is known to be unhealthy to the end; keep the order otherwise.

        If checks are disabled, only a request can show that an instance has recovered. It therefore gets its normal
        place back after the time of one check interval.
        """
        checked, now = self._settings, self._services.clock()
        since = -math.inf if checked.enabled else now - checked.interval
        unfit = [target for target in targets if _is_unfit(self._instances.state(target.instance), since)]
        if not unfit or len(unfit) == len(targets):
            return targets
        return (*(target for target in targets if target not in unfit), *unfit)

    def _round(self) -> None:
        self.start()  # first, so that there is a next round even if this one fails
        known = self._services.clock() - self._settings.interval / 2
        for instance in self._instances:
            state = self._instances.state(instance)
            well = state.health == "healthy" and state.seen is not None and state.seen >= known
            if state.attempts and state.in_flight == 0 and not well:
                self._services.background.spawn(self._checked(instance), "health check")

    async def check(self, instance: Instance, timeout: float = CHECK_SECONDS) -> InstanceState:
        """Check an instance now and return its state, which has the resulting health.

        Args:
            instance: The instance.
            timeout: Seconds after which it counts as unhealthy.

        Raises:
            Draining: The instance was removed.
        """
        state = self._instances.find(instance)
        if state is None:
            raise removed(instance)
        try:
            await self._asking.ask(instance, timeout, _check)
        except LocalAgentError as error:
            state.health, state.error = "unhealthy", str(error)
        else:
            state.health, state.error = "healthy", ""
        state.seen = self._services.clock()
        state.sick = state.seen if state.health == "unhealthy" else None
        return state

    async def check_all(self, timeout: float = CHECK_SECONDS, max_age: float = 0.0) -> list[InstanceState]:
        """Check all instances at the same time.

        Args:
            timeout: Seconds after which an instance counts as unhealthy.
            max_age: Seconds for which the last success or check of an instance remains valid.
        """
        instances = list(self._instances)
        await asyncio.gather(*(self._checked(instance, timeout, max_age) for instance in instances))
        states = (self._instances.find(instance) for instance in instances)
        return [state for state in states if state is not None]

    async def _checked(self, instance: Instance, timeout: float = CHECK_SECONDS, max_age: float = 0.0) -> None:
        """Check an instance if necessary; do nothing if it has been removed."""
        state = self._instances.find(instance)
        if state is None or (state.seen is not None and self._services.clock() - state.seen < max_age):
            return
        await self.check(instance, timeout)


async def _check(provider: Provider, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
    phases.fresh = True  # a kept connection that breaks says nothing about the server
    await provider.check(instance, transport, phases)


def _is_unfit(state: InstanceState, since: float) -> bool:
    return state.health == "unhealthy" and (state.sick is None or state.sick >= since)
