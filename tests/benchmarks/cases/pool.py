"""Calls through connect-aiohttp beside a session for every request: latency, sockets, handshakes, throughput."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from answers import KEY, MESSAGES, MODEL, TEXT
from bench import Bench
from measure import Spread
from pool_server import Place, delaying
from report import Row

from cases import bare
from localagent import Client
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_openai import OpenAIPlugin

CASE = "pool"
FRESH, SHARED, POOL = "a session for every request", "one bare session", "Client.chat, connect-aiohttp"
ADDED_TARGET = 0.4  # S10: 60 to 80 % less overhead
PACE_TARGET = 0.1  # S66: 10 times the requests a second
AT_ONCE = 500  # S71
CALLERS, CALLS = 50, 4
DELAYS = (0, 20)
LONG = 2000  # milliseconds: longer than it takes to open all connections

Call = Callable[[], Awaitable[None]]


class Party(NamedTuple):
    """Somebody who calls.

    Attributes:
        name: Its name.
        call: Sends one request, and checks the answer.
    """

    name: str
    call: Call


class Sample(NamedTuple):
    """What some calls took.

    Attributes:
        seconds: By the clock, all together.
        added: Seconds that a call took beyond those that the server spent on its answer.
        opened: Sockets that were opened.
        handshakes: TLS handshakes.
    """

    seconds: float
    added: float
    opened: int
    handshakes: int


async def rows(bench: Bench) -> list[Row]:
    """Compare plain and TLS, upstreams of no and of 20 ms, one call at a time and many."""
    found: list[Row] = []
    with delaying() as place:
        for server in (place.plain, place.tls):
            for delay in DELAYS:
                async with parties(place, server, delay) as taking_part:
                    found += await _one_by_one(taking_part, place, bench.rounds, _where(server, delay))
                    found += await _many(taking_part, place, max(5, bench.rounds // 4), _where(server, delay))
            found += await _at_once(place, server)
    return found


def _where(server: str, delay: int) -> str:
    return f"{'TLS' if server.startswith('https') else 'plain'}, upstream {delay} ms"


@asynccontextmanager
async def parties(place: Place, server: str, delay: int) -> AsyncIterator[Sequence[Party]]:
    """Open who takes part, the baseline first."""
    url = f"{server}/{delay}"
    trust = ssl.create_default_context(cafile=str(place.authority))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=_connector(trust)))
        client = await stack.enter_async_context(pooled(place, url))
        yield (
            Party(FRESH, lambda: _in_a_new_session(trust, url)),
            Party(SHARED, lambda: _post(session, url)),
            Party(POOL, lambda: _chat(client)),
        )


def _connector(trust: ssl.SSLContext) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(ssl=trust, limit=0)


def pooled(place: Place, url: str) -> Client:
    """Return a client with the pool, which may open as many connections as anybody here needs."""
    provider: dict[str, Any] = {
        "type": "openai", "instances": [f"{url}/v1"], "keys": [{"env": "BENCH_KEY"}], "pool": {"limit": AT_ONCE},
        "authority": str(place.authority),
    }  # fmt: skip
    plugins = [OpenAIPlugin, AiohttpConnectPlugin]
    settings = {"providers": {"local": provider}, "plugins": {"connect-aiohttp": {"spare": 1}}}
    return Client(settings, plugins=plugins, environment={"BENCH_KEY": KEY})


async def _in_a_new_session(trust: ssl.SSLContext, url: str) -> None:
    async with aiohttp.ClientSession(connector=_connector(trust)) as session:
        await _post(session, url)


async def _post(session: aiohttp.ClientSession, url: str) -> None:
    await bare.chats(session, url)(1)


async def _chat(client: Client) -> None:
    response = await client.chat(MESSAGES, model=f"local/{MODEL}", temperature=0.5)
    assert response.text == TEXT


async def counts(place: Place) -> dict[str, Any]:
    """Ask the server for its counts."""
    async with aiohttp.ClientSession() as session, session.get(f"{place.plain}/counts") as answer:
        counted: dict[str, Any] = await answer.json(content_type=None)
        return counted


async def sample(place: Place, call: Call, callers: int, calls: int) -> Sample:
    """Let callers call at the same time, each some times in a row."""

    async def caller() -> None:
        for _ in range(calls):
            await call()

    before = await counts(place)
    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - begin
    after = await counts(place)
    busy = after["busy"] - before["busy"]
    opened, handshakes = (after[name] - before[name] for name in ("opened", "handshakes"))
    return Sample(seconds, (seconds * callers - busy) / (callers * calls), opened, handshakes)


async def compared(
    taking_part: Sequence[Party], place: Place, rounds: int, callers: int, calls: int
) -> dict[str, list[Sample]]:
    """Let everybody call in turns, in an order that changes; returns the samples of each."""
    for party in taking_part:
        await sample(place, party.call, callers, calls)
    chance = random.Random(0)
    samples: dict[str, list[Sample]] = {party.name: [] for party in taking_part}
    for _ in range(rounds):
        for party in chance.sample(taking_part, len(taking_part)):
            samples[party.name].append(await sample(place, party.call, callers, calls))
    return samples


async def _one_by_one(taking_part: Sequence[Party], place: Place, rounds: int, where: str) -> list[Row]:
    samples = await compared(taking_part, place, rounds, 1, CALLS)
    baseline = samples[FRESH]
    found = []
    for name, own in samples.items():
        ratio = Spread.middle_half(one.added / other.added for one, other in zip(own, baseline, strict=True))
        added = Spread.of(one.added for one in own).median
        whole = Spread.of(one.seconds / CALLS for one in own).median
        number = len(own) * CALLS
        note = (
            f"a call takes {whole * 1e3:.2f} ms, {added * 1e3:.2f} of them added; {number} calls after the first "
            f"opened {sum(one.opened for one in own)} sockets with {sum(one.handshakes for one in own)} handshakes"
        )
        found.append(
            Row(case=CASE, what=f"{name}: added to a call that is alone, {where}",
                figure=None if name == FRESH else ratio, target=ADDED_TARGET if name == POOL else None, note=note)
        )  # fmt: skip
    return found


async def _many(taking_part: Sequence[Party], place: Place, rounds: int, where: str) -> list[Row]:
    samples = await compared(taking_part, place, rounds, CALLERS, CALLS)
    baseline = samples[FRESH]
    found = []
    for name, own in samples.items():
        ratio = Spread.middle_half(one.seconds / other.seconds for one, other in zip(own, baseline, strict=True))
        pace = CALLERS * CALLS / Spread.of(one.seconds for one in own).median
        found.append(
            Row(case=CASE, what=f"{name}: seconds a request, {CALLERS} callers, {where}",
                figure=None if name == FRESH else ratio, target=PACE_TARGET if name == POOL else None,
                note=f"{pace:.0f} requests a second; {sum(one.opened for one in own)} sockets opened")
        )  # fmt: skip
    return found


async def _at_once(place: Place, server: str) -> list[Row]:
    """See that so many calls are on their way at the same moment, and that all are answered."""
    await counts(place)
    async with pooled(place, f"{server}/{LONG}") as client:
        begin = time.perf_counter()
        ends = await asyncio.gather(*(_chat(client) for _ in range(AT_ONCE)), return_exceptions=True)
        seconds = time.perf_counter() - begin
    failed = sum(isinstance(end, BaseException) for end in ends)
    most = (await counts(place))["most"]
    what = f"{POOL}: {AT_ONCE} calls at once, {_where(server, LONG)}"
    note = f"{most} on their way at the same time; all over after {seconds:.2f} s"
    return [
        Row(case=CASE, what=f"{what}: failed", figure=Spread.of([failed]), unit="calls", target=0.0, note=note),
        Row(case=CASE, what=f"{what}: waited for others", figure=Spread.of([AT_ONCE - most]), unit="calls", target=0.0),
    ]
