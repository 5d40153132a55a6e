"""``localagent serve`` beside a bare aiohttp proxy: one process each on one core, load and upstream on another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import NamedTuple

from answers import MODEL
from bench import Bench
from gateways.contest import Contest, beyond, relation
from gateways.load import crowd
from gateways.ours import SETTINGS, gateway
from gateways.processes import Proxy, can_measure, load_on_its_core, program
from gateways.upstream import PIECES, Upstream, upstream
from measure import Spread, compare
from report import Row

CASE = "gateway"
BARE, AGAIN, OURS, DIRECT = "bare aiohttp proxy", "A/A: another bare proxy", "localagent serve", "the upstream itself"
FAST = "localagent serve with connect-fast"
CONNECTIONS, MANY, HELD = 64, 500, 1000
COST_TARGETS = {OURS: 1 / 0.85, FAST: 1 / 2}  # 0.85 times and twice the requests a second
ADDED_TARGET, TAIL_TARGET = 1.25, 1.2
IDLE_TARGET, STREAM_TARGET = 60.0, 60.0


class Field(NamedTuple):
    """Who takes part on one event loop, the baseline first.

    Attributes:
        loop: The event loop of all of them.
        proxies: The baseline, its equal, the gateway, and the gateway with connect-fast where that is installed.
        upstream: The fake upstream behind them.
        port: The upstream's port.
    """

    loop: str
    proxies: Sequence[Proxy]
    upstream: Upstream
    port: int


async def rows(bench: Bench) -> list[Row]:
    """Compare whole answers and streams, few connections and many, on every event loop that is installed."""
    if not can_measure():
        return []
    found: list[Row] = []
    for loop in ("asyncio", *(["uvloop"] if find_spec("uvloop") else [])):
        async with field(loop) as taking_part:
            found += await _cost(taking_part, bench.rounds, stream=False)
            found += await _cost(taking_part, bench.rounds, stream=True)
            found += await _added(taking_part, bench.rounds)
            found += await _tail(taking_part, bench.rounds)
        async with field(loop) as taking_part:
            found += await _memory(taking_part)
    return found


@asynccontextmanager
async def field(loop: str) -> AsyncIterator[Field]:
    """Start who takes part."""
    with load_on_its_core(), ExitStack() as stack:
        async with upstream() as (fake, port):
            proxies = [
                stack.enter_context(program("bare_proxy", BARE, port, loop)),
                stack.enter_context(program("bare_proxy", AGAIN, port, loop)),
                stack.enter_context(gateway(OURS, port, loop)),
            ]
            if find_spec("localagent_connect_fast"):
                settings = SETTINGS.replace('"provider-openai"', '"provider-openai", "connect-fast"')
                proxies.append(stack.enter_context(gateway(FAST, port, loop, settings=settings)))
            yield Field(loop, proxies, fake, port)


@asynccontextmanager
async def contests(field: Field, connections: int, *, stream: bool = False) -> AsyncIterator[list[Contest]]:
    """Open so many connections to each of them."""
    async with AsyncExitStack() as stack:
        made = []
        for proxy in field.proxies:
            load = crowd(proxy, field.upstream, connections, stream=stream)
            made.append(Contest(proxy, await stack.enter_async_context(load)))
        yield made


async def _cost(field: Field, rounds: int, *, stream: bool) -> list[Row]:
    async with contests(field, CONNECTIONS, stream=stream) as taking_part:
        size = CONNECTIONS * (1 if stream else 4)
        samples = await compare([one.contender() for one in taking_part], rounds=rounds, turns=1, size=size)
    what = f"streams of {PIECES} pieces" if stream else "whole answers"
    bare, *others = taking_part
    serving = f"{what}, {CONNECTIONS} connections, {field.loop}"
    found = [Row(case=CASE, what=f"{BARE}: {serving}", cost=samples.cost(BARE), note=_pace(bare))]
    for one in others:
        name, target = one.proxy.name, COST_TARGETS.get(one.proxy.name)
        found += [
            Row(case=CASE, what=f"{name}: {serving}", cost=samples.cost(name), figure=samples.ratio(name, BARE),
                target=target, note=_pace(one)),
            Row(case=CASE, what=f"{name}: the same, by the clock", figure=relation(lambda one: one.paces, one, bare),
                target=target, note="seconds a request; 1.18 x is 0.85 of the requests a second, 0.5 x twice as many"),
        ]  # fmt: skip
    return found


def _pace(one: Contest) -> str:
    return f"{1 / Spread.of(one.paces).median:.0f} requests a second"


async def _added(field: Field, rounds: int) -> list[Row]:
    """Compare what a proxy adds to a request that is alone."""
    direct = Proxy(DIRECT, 0, field.port, MODEL)
    proxies = [*field.proxies, direct]
    async with contests(field._replace(proxies=proxies), 1) as taking_part:
        await compare([one.contender() for one in taking_part], rounds=rounds, turns=1, size=40, before=4)
    *others, alone = taking_part
    bare = beyond(others[0], alone)
    made = []
    for one in others:
        added = beyond(one, alone)
        ratio = Spread.middle_half(own / other for own, other in zip(added, bare, strict=True))
        made.append(
            Row(case=CASE, what=f"{one.proxy.name}: added to a request that is alone, {field.loop}", figure=ratio,
                target=ADDED_TARGET if one.proxy.name in COST_TARGETS else None,
                note=f"{Spread.of(added).median * 1e6:.0f} us in the middle")
        )  # fmt: skip
    return made


async def _tail(field: Field, rounds: int) -> list[Row]:
    """Compare the slowest of a hundred when many ask at once, and see that nobody is refused."""
    async with contests(field, MANY) as taking_part:
        await compare([one.contender() for one in taking_part], rounds=max(7, rounds // 4), turns=1, size=MANY * 2)
    made = []
    for one in taking_part:
        name, target = one.proxy.name, TAIL_TARGET if one.proxy.name in COST_TARGETS else None
        made.append(
            Row(case=CASE, what=f"{name}: p99, {MANY} connections, {field.loop}",
                figure=relation(lambda one: one.p99s, one, taking_part[0]), target=target,
                note=f"{Spread.of(one.p99s).median * 1e3:.0f} ms in the middle")
        )  # fmt: skip
        if name in COST_TARGETS:
            errors = Spread.of([float(one.crowd.errors)])
            made.append(Row(case=CASE, what=f"{name}: errors, {MANY} connections, {field.loop}", figure=errors,
                            unit="errors", target=0.0))  # fmt: skip
    return made


async def _memory(field: Field) -> list[Row]:
    """Look at the resident memory of fresh processes, idle and with many streams open."""
    made = []
    field.upstream.hold = True
    for proxy in field.proxies:
        if proxy.name == AGAIN:
            continue
        ours = proxy.name in COST_TARGETS
        idle = proxy.resident()
        async with crowd(proxy, field.upstream, HELD, stream=True) as held:
            await held.begin()
            each = (proxy.resident() - idle) / HELD / 1000
        made += [
            Row(case=CASE, what=f"{proxy.name}: resident, idle, {field.loop}", figure=Spread.of([idle / 1e6]),
                unit="MB", target=IDLE_TARGET if ours else None),
            Row(case=CASE, what=f"{proxy.name}: resident, each of {HELD} open streams, {field.loop}",
                figure=Spread.of([each]), unit="kB", target=STREAM_TARGET if ours else None),
        ]  # fmt: skip
    return made
