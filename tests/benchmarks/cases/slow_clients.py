"""How long others wait for ``localagent serve`` while 500 clients trickle: each in a process of its own.

The gateway has a core for itself. What is compared with the times beside slow clients are the same times without them,
taken twice (A/A), so that the machine's own unrest is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec

from bench import Bench
from gateways.contest import Contest
from gateways.load import crowd
from gateways.ours import SETTINGS, gateway
from gateways.processes import Proxy, can_measure, load_on_its_core
from gateways.slow_clients import SlowProcess, slow_clients
from gateways.upstream import Upstream, upstream
from measure import Contender, Samples, Spread, compare
from report import Row

CASE = "slow clients"
ALONE, AGAIN = "others alone", "A/A: others alone again"
SLOW = 500
ASKED, BEFORE = 600, 100
FEWEST_ROUNDS = 15
DEADLINES = 'header_timeout = "1 s"\nbody_timeout = "1 s"\n'


async def rows(bench: Bench) -> list[Row]:
    """Compare on every event loop that is installed."""
    if not can_measure():
        return []
    found: list[Row] = []
    for loop in ("asyncio", *(["uvloop"] if find_spec("uvloop") else [])):
        found += await compared(loop, max(FEWEST_ROUNDS, bench.rounds // 4), SLOW, ASKED)
    return found


class Others:
    """Somebody who asks, one request after the other, on a connection of each turn's own.

    A kept one would be closed as idle while the others have their turns: the deadlines are short.

    Args:
        proxy: The gateway, under the name that the report gives to this load.
        upstream: The upstream behind it.
        slow: The slow clients beside it; None for nobody.

    Attributes:
        p50s, p99s: Percentiles of the requests' durations in seconds, turn by turn.
        errors: Requests that failed.
        cut: Slow clients that the gateway has cut.
    """

    def __init__(self, proxy: Proxy, upstream: Upstream, slow: SlowProcess | None = None) -> None:
        self.proxy = proxy
        self._upstream = upstream
        self._slow = slow
        self.p50s: list[float] = []
        self.p99s: list[float] = []
        self.errors = self.cut = 0

    def contender(self) -> Contender:
        """Return it as a contender."""
        return Contender(self.proxy.name, self._spend)

    async def _spend(self, number: int, before: int) -> float:
        if self._slow is not None:
            await self._slow.begin()
        async with crowd(self.proxy, self._upstream, 1) as load:
            contest = Contest(self.proxy, load)
            spent = await contest.contender().spend(number, before)
        self.p50s += contest.p50s
        self.p99s += contest.p99s
        self.errors += load.errors
        if self._slow is not None:
            self.cut += await self._slow.end()
        return spent


async def compared(loop: str, rounds: int, slow: int, asked: int) -> list[Row]:
    """Ask one gateway: alone, alone again, and beside so many slow clients."""
    async with AsyncExitStack() as stack:
        stack.enter_context(load_on_its_core())
        fake, port = await stack.enter_async_context(upstream())
        proxy = stack.enter_context(gateway("", port, loop, settings=SETTINGS + DEADLINES))
        process = await stack.enter_async_context(slow_clients(proxy.port, slow))
        alone, again = [Others(proxy._replace(name=name), fake) for name in (ALONE, AGAIN)]
        beside = Others(proxy._replace(name=f"others beside {slow} slow clients"), fake, process)
        contenders = [one.contender() for one in (alone, again, beside)]
        samples = await compare(contenders, rounds=rounds, turns=1, size=asked, before=BEFORE)
    return [*_times(alone, again, beside, samples, loop), *_counts(beside, loop)]


def _times(alone: Others, again: Others, beside: Others, samples: Samples, loop: str) -> list[Row]:
    """Return the 99th percentiles beside the first one's; the second says how much such a ratio means nothing."""
    band, ratio = [_ratio(one.p99s, alone.p99s) for one in (again, beside)]
    kinds = ((alone, None, None), (again, band, None), (beside, ratio, max(1.0, band.high)))
    return [
        Row(case=CASE, what=f"p99, {one.proxy.name}, {loop}", cost=samples.cost(one.proxy.name), figure=figure,
            target=target, note=f"p99 {_milliseconds(one.p99s)}, p50 {_milliseconds(one.p50s)}")
        for one, figure, target in kinds
    ]  # fmt: skip


def _ratio(one: Sequence[float], other: Sequence[float]) -> Spread:
    return Spread.middle_half(own / its for own, its in zip(one, other, strict=True))


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{Spread.of(seconds).median * 1e3:.2f} ms"


def _counts(beside: Others, loop: str) -> list[Row]:
    cut, errors = [Spread.of([float(number)]) for number in (beside.cut, beside.errors)]
    return [
        Row(
            case=CASE, what=f"slow clients cut meanwhile, each followed by another, {loop}", figure=cut, unit="clients"
        ),
        Row(case=CASE, what=f"others beside them that got no answer, {loop}", figure=errors, unit="errors", target=0.0),
    ]
