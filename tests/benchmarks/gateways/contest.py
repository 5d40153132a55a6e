"""Turns of load for the harness: what a request costs the process that serves it, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import quantiles

from measure import Contender, Spread

from gateways.load import Crowd
from gateways.processes import Proxy


class Contest:
    """One proxy and the connections that ask it.

    Args:
        proxy: The process.
        crowd: Its load.

    Attributes:
        paces: Seconds a request, turn by turn.
        p50s, p99s: Percentiles of the requests' durations in seconds, turn by turn.
    """

    def __init__(self, proxy: Proxy, crowd: Crowd) -> None:
        self.proxy = proxy
        self.crowd = crowd
        self.paces: list[float] = []
        self.p50s: list[float] = []
        self.p99s: list[float] = []

    def contender(self, share: float = 1.0) -> Contender:
        """Return it as a contender, by the processor time of its process."""
        return Contender(self.proxy.name, self._spend, share)

    async def _spend(self, number: int, before: int) -> float:
        await self.crowd.ask(before)
        if not number:
            return 0.0
        begin, cpu = time.perf_counter(), self.proxy.cpu()
        await self.crowd.ask(number)
        spent, seconds = self.proxy.cpu() - cpu, time.perf_counter() - begin
        done = len(self.crowd.seconds)
        if not done:
            raise RuntimeError(f"{self.proxy.name} answered nothing.")
        cuts = quantiles(self.crowd.seconds, n=100)
        self.paces.append(seconds / done)
        self.p50s.append(cuts[49])
        self.p99s.append(cuts[98])
        return spent * number / done


Figure = Callable[[Contest], list[float]]


def relation(figure: Figure, one: Contest, baseline: Contest) -> Spread:
    """Return how many times the baseline's figure another one's is, turn by turn: the median and the middle half."""
    return Spread.middle_half(own / other for own, other in zip(figure(one), figure(baseline), strict=True))


def beyond(one: Contest, direct: Contest) -> list[float]:
    """Return by how many seconds the middle request of each turn took longer than without the proxy."""
    return [own - other for own, other in zip(one.p50s, direct.p50s, strict=True)]
