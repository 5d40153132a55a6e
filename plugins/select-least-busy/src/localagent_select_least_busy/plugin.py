"""Orders the candidates of a request by how busy their instances are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Self

from localagent import Call, Instance, InstanceState, Plugin, Target, hookimpl

# Seconds used in place of an unknown latency. A new instance goes before those with a known latency; one that has
# answered only with errors goes after them, or an instance with a wrong key would be asked first for every request.
NEW = 0.0
ONLY_FAILED = 1e9
LEAST = 1e-9  # added to every latency, so that the order of zeros is random, too

_UNFIT = frozenset({"loading", "unhealthy"})
_place = attrgetter("place")


class LeastBusyPlugin(Plugin):
    """Puts the least busy instance first. It keeps no counts: the core's counts decide."""

    name = "select-least-busy"

    _state: Callable[[Instance], InstanceState]
    _random: Callable[[], float]

    async def __aenter__(self) -> Self:
        self._state = self.core.state
        self._random = self.core.random.random
        return self

    @hookimpl
    def select_instance(self, call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | None:
        """Order the candidates that share a place in their alias; none moves past a candidate of another place."""
        if len(candidates) == 1:
            return None
        ordered: list[Target] = []
        for _, neighbours in groupby(candidates, _place):
            ordered += sorted(neighbours, key=self._rank)
        chosen = tuple(ordered)
        return None if chosen == candidates else chosen

    def _rank(self, target: Target) -> tuple[bool, float, float]:
        """Return the sort key: health, then load, then a random number that favours fast instances.

        The load includes this request, so that weights also count for idle instances. Each latency is multiplied by a
        random number from 1 to 2: instances of about the same speed share requests that arrive one by one, and one that
        takes more than twice as long is used only when the others are busy.
        """
        state = self._state(target.instance)
        latency = state.latency
        if latency is None:
            latency = ONLY_FAILED if state.failures else NEW
        load = (state.in_flight + 1) / target.instance.weight
        return state.health in _UNFIT, load, (latency + LEAST) * (1.0 + self._random())
