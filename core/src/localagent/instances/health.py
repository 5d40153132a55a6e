"""The health of instances: passive signs from traffic, and checks in the background that cost nothing.

A success counts like a check, so instances that answer are not checked in addition.
Only instances that were used are checked, so that a client that asks one question opens no other connection. A check
asks what the provider offers for free (a model list, a health page), never a model.
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
        instances: The instances that are there.
        asking: Asks instances.
    """

    def __init__(self, services: LoopServices, settings: HealthSettings, instances: Instances, asking: Asking) -> None:
        self._services = services
        self._settings = settings
        self._instances = instances
        self._asking = asking
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin checking, unless the settings say no."""
        if self._settings.enabled:
            # Jitter keeps many processes from asking the same server at the same moment.
            wait = self._settings.interval * self._services.random.uniform(0.8, 1.2)
            self._handle = self._services.loop.call_later(wait, self._round)

    def stop(self) -> None:
        """End checking."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def order(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return the targets in their order, those with an unhealthy instance last.

        Where nothing is checked, only a request can show that an instance is healthy again: after as long as would
        lie between two checks, it has its own place again.
        """
        checked, now = self._settings, self._services.clock()
        since = -math.inf if checked.enabled else now - checked.interval
        unfit = [target for target in targets if _is_unfit(self._instances.state(target.instance), since)]
        if not unfit or len(unfit) == len(targets):
            return targets
        return (*(target for target in targets if target not in unfit), *unfit)

    def _round(self) -> None:
        self.start()  # first: whatever goes wrong in this round, there is a next one
        known = self._services.clock() - self._settings.interval / 2
        for instance in self._instances:
            state = self._instances.state(instance)
            well = state.health == "healthy" and state.seen is not None and state.seen >= known
            if state.attempts and state.in_flight == 0 and not well:
                self._services.background.spawn(self._checked(instance), "health check")

    async def check(self, instance: Instance, timeout: float = CHECK_SECONDS) -> InstanceState:
        """Check an instance now and return its state; its health says what came of it.

        Args:
            instance: The instance.
            timeout: Seconds after which it counts as not well.

        Raises:
            Draining: It was removed.
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
            timeout: Seconds after which one counts as not well.
            max_age: Seconds for which the last success or check of an instance is still good.
        """
        instances = list(self._instances)
        await asyncio.gather(*(self._checked(instance, timeout, max_age) for instance in instances))
        states = (self._instances.find(instance) for instance in instances)
        return [state for state in states if state is not None]

    async def _checked(self, instance: Instance, timeout: float = CHECK_SECONDS, max_age: float = 0.0) -> None:
        """Check an instance if need be; nothing happens where it was removed before its turn came."""
        state = self._instances.find(instance)
        if state is None or (state.seen is not None and self._services.clock() - state.seen < max_age):
            return
        await self.check(instance, timeout)


async def _check(provider: Provider, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
    phases.fresh = True  # a kept connection that breaks says nothing about the server
    await provider.check(instance, transport, phases)


def _is_unfit(state: InstanceState, since: float) -> bool:
    return state.health == "unhealthy" and (state.sick is None or state.sick >= since)
