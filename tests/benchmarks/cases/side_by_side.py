"""Proxies beside the bare one: what a request costs each, how many a core serves, and how many failed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from gateways.contest import Contest
from gateways.load import crowd
from gateways.processes import Proxy
from gateways.upstream import PIECES, Upstream
from measure import Spread, compare
from report import Row

CONNECTIONS = 64
FEWEST_ROUNDS = 5
MICROSECONDS = 1e6


class Entrant(NamedTuple):
    """A proxy that takes part.

    Attributes:
        proxy: Its process.
        share: Its part of the whole answers of a turn; less than 1 for the slow.
        note: What a reader must know.
    """

    proxy: Proxy
    share: float = 1.0
    note: str = ""


async def side_by_side(case: str, entrants: Sequence[Entrant], upstream: Upstream, rounds: int) -> list[Row]:
    """Compare whole answers, then streams; the first of the entrants is the baseline.

    Args:
        case: The case that the rows belong to.
        entrants: Who takes part.
        upstream: The upstream behind all of them.
        rounds: Rounds of the whole report. A quarter of them is enough: what is compared here differs a lot.
    """
    rounds = max(FEWEST_ROUNDS, rounds // 4)
    whole, streamed = [await _contests(entrants, upstream, rounds, stream=stream) for stream in (False, True)]
    found = _rows(case, "whole answers", whole) + _rows(case, f"streams of {PIECES} pieces", streamed)
    for one, other in zip(whole, streamed, strict=True):
        errors = Spread.of([float(one.contest.crowd.errors + other.contest.crowd.errors)])
        found.append(Row(case=case, what=f"{one.contest.proxy.name}: errors", figure=errors, unit="errors"))
    return found


class _Outcome(NamedTuple):
    """What became of one entrant."""

    contest: Contest
    cost: Spread
    ratio: Spread
    note: str


async def _contests(entrants: Sequence[Entrant], upstream: Upstream, rounds: int, *, stream: bool) -> list[_Outcome]:
    async with AsyncExitStack() as stack:
        contests = []
        for one in entrants:
            load = crowd(one.proxy, upstream, CONNECTIONS, stream=stream)
            contests.append(Contest(one.proxy, await stack.enter_async_context(load)))
        contenders = [contest.contender(one.share) for contest, one in zip(contests, entrants, strict=True)]
        samples = await compare(contenders, rounds=rounds, turns=1, size=CONNECTIONS * (1 if stream else 4))
    names = [one.name for one in contenders]
    return [
        _Outcome(contest, samples.cost(name), samples.ratio(name, names[0]), one.note)
        for contest, one, name in zip(contests, entrants, names, strict=True)
    ]


def _rows(case: str, what: str, outcomes: Sequence[_Outcome]) -> list[Row]:
    """Return two rows for each: its cost beside the baseline's, and how many requests a core serves."""
    made = []
    for number, one in enumerate(outcomes):
        name, clock = one.contest.proxy.name, f"{1 / Spread.of(one.contest.paces).median:.0f} by the clock"
        served = Spread(*(MICROSECONDS / cost for cost in (one.cost.median, one.cost.high, one.cost.low)))
        first = number == 0
        made += [
            Row(case=case, what=f"{name}: {what}, {CONNECTIONS} connections", cost=one.cost,
                figure=None if first else one.ratio, note="the baseline" if first else one.note),
            Row(case=case, what=f"{name}: {what}, in a second of a core", figure=served, unit="requests",
                note=clock if first else f"{clock}; {1 / one.ratio.median:.3g} times the baseline's"),
        ]  # fmt: skip
    return made
