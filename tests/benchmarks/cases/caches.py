"""What a hit costs, and what a miss adds: in ``Client.chat`` without a socket, in the file, and behind the gateway."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any

from answers import KEY, TEXT, whole_body
from bench import Bench
from gateways.contest import Contest
from gateways.load import crowd
from gateways.ours import SETTINGS, gateway
from gateways.processes import can_measure, load_on_its_core, program
from gateways.upstream import upstream
from machine import calibration
from measure import Contender, Run, Spread, compare, contender
from report import Row

from cases import clients
from cases.memory_transport import MemoryTransport, bringing
from localagent import CacheEntry, CacheKey, ChatResponse, Client, Plugin
from localagent_cache_memory import MemoryCachePlugin
from localagent_cache_sqlite import SqliteCachePlugin
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_openai import OpenAIPlugin

CASE = "cache"
SIZES = (100, 1_000, 4_000, 16_000)
HIT, HIT_A_KB, MISS, FILE_HIT = 20.0, 1.5, 40.0, 300.0
GATEWAY_TARGET = 1 / 2.5  # 2.5 times the requests a second
BARE, OURS = "bare aiohttp proxy, passing through", "localagent serve, hits"
CONNECTIONS, LOOKUPS, ENTRIES = 64, 2000, 5000
TURNS, SIZE, BEFORE = 30, 20, 4
MIDDLE = "median and middle half"


async def rows(bench: Bench) -> list[Row]:
    """Measure hits by size of the request, misses, the file, and the gateway."""
    return [*await _hits(bench), *await _misses(bench), *await _file(bench), *await _gateway(bench)]


def _client(*plugins: type[Plugin], folder: str = "") -> Client:
    provider = {"type": "openai", "instances": [f"{clients.NOWHERE}/v1"], "keys": [{"env": "BENCH_KEY"}]}
    settings: dict[str, Any] = {"providers": {"local": provider}}
    if folder:
        settings["state_folder"] = folder
    memory = bringing(MemoryTransport(whole_body()))
    return Client(
        settings, plugins=[AiohttpConnectPlugin, OpenAIPlugin, memory, *plugins], environment={"BENCH_KEY": KEY}
    )


def _asks(client: Client, length: int) -> Run:
    """Return what asks the same question of so many characters, one after the other."""
    messages = [{"role": "user", "content": "word " * (length // 5)}]

    async def run(number: int) -> None:
        for _ in range(number):
            response = await client.chat(messages, model=clients.TARGET, temperature=0)
            assert response.text == TEXT

    return run


def _asks_anew(client: Client) -> Run:
    """Return what asks a question that nobody has asked."""
    numbers = itertools.count()

    async def run(number: int) -> None:
        for _ in range(number):
            messages = [{"role": "user", "content": f"{next(numbers)} {'word ' * 20}"}]
            response = await client.chat(messages, model=clients.TARGET, temperature=0)
            assert response.text == TEXT
            assert not response.cached
            await asyncio.sleep(0)  # the answer is kept a turn of the event loop later

    return run


async def _hits(bench: Bench) -> list[Row]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(MemoryCachePlugin))
        file = await stack.enter_async_context(_client(SqliteCachePlugin, folder=stack.enter_context(_folder())))
        contenders = [contender(_hit(length), _asks(client, length)) for length in SIZES]
        contenders += [contender(_hit(1_000, "file"), _asks(file, 1_000)), calibration(1 / SIZE)]
        contenders += await _litellm(bench)
        samples = await compare(contenders, rounds=bench.rounds, turns=TURNS, size=SIZE, before=BEFORE)
    made = []
    for length in SIZES:
        name, target = _hit(length), HIT + HIT_A_KB * max(0.0, (length - 4_000) / 1_000)
        made.append(Row(case=CASE, what=name, cost=samples.cost(name), figure=samples.cost(name), unit="us",
                        normalised=samples.normalised(name), target=target))  # fmt: skip
    others = [one.name for one in contenders if one.name in (_hit(1_000, "file"), LITELLM)]
    return [*made, *(Row(case=CASE, what=name, cost=samples.cost(name)) for name in others)]


def _hit(length: int, where: str = "memory") -> str:
    return f"Client.chat, a hit in {where}, {length} characters"


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench-")


async def _misses(bench: Bench) -> list[Row]:
    without, again, memory = "Client.chat without a cache", "A/A: another one", "Client.chat, a miss that is kept"
    async with AsyncExitStack() as stack:
        contenders = [
            contender(without, _asks_anew(await stack.enter_async_context(_client()))),
            contender(again, _asks_anew(await stack.enter_async_context(_client()))),
            contender(memory, _asks_anew(await stack.enter_async_context(_client(MemoryCachePlugin)))),
            calibration(1 / SIZE),
        ]
        samples = await compare(contenders, rounds=bench.rounds, turns=TURNS, size=SIZE, before=BEFORE)
    return [
        Row(case=CASE, what=name, cost=samples.cost(name), figure=samples.difference(name, without), unit="us",
            normalised=samples.normalised(name, without), target=MISS if name == memory else None, note=MIDDLE)
        for name in (again, memory)
    ]  # fmt: skip


async def _file(bench: Bench) -> list[Row]:
    """Measure, by the clock, lookups in a file of many entries; they are spread over the whole of it."""
    times: list[float] = []
    with _folder() as folder:
        async with _client(SqliteCachePlugin, folder=folder) as client:
            plugin = (await client.runtime()).pipeline.plugins["cache-sqlite"]
            assert isinstance(plugin, SqliteCachePlugin)
            keys = await _filled(plugin)
            for number in range(LOOKUPS):
                key = keys[number * 7919 % ENTRIES]
                begin = time.perf_counter()
                assert plugin.cache_lookup((key,)) is not None
                times.append((time.perf_counter() - begin) * 1e6)
    times.sort()
    note = f"{ENTRIES} entries of 4 KB; p99 {times[len(times) * 99 // 100]:.0f} us"
    return [Row(case=CASE, what="cache-sqlite, p50 of a hit, by the clock", figure=Spread.of(times), unit="us",
                target=FILE_HIT, note=note)]  # fmt: skip


async def _filled(plugin: SqliteCachePlugin) -> list[CacheKey]:
    """Write entries into the file and return their keys."""
    keys = []
    for number in range(ENTRIES):
        digest = (number * 2654435761 % 2**61).to_bytes(8) + number.to_bytes(24)
        keys.append(CacheKey(digest, bytes(16), number, clients.TARGET, ""))
        plugin.cache_store(CacheEntry(keys[-1], ChatResponse(raw=b"%5d" % number + b"x" * 4_000), None, 1.0))
        if number % 500 == 0:
            await plugin.flushed()
    await plugin.flushed()
    return keys


LITELLM = "litellm.acompletion, a hit in its memory, 1000 characters"


async def _litellm(bench: Bench) -> list[Contender]:
    """Return litellm with its own cache, where it is installed and wanted."""
    if not bench.peers or find_spec("litellm") is None:
        return []
    from cases.peers import may_import_litellm

    if not may_import_litellm():
        return []
    litellm: Any = importlib.import_module("litellm")
    litellm.cache = litellm.Cache()
    fixed = {"model": "openai/m", "api_base": f"{bench.server}/v1", "api_key": KEY, "temperature": 0, "caching": True}
    messages = [{"role": "user", "content": "word " * 200}]

    async def run(number: int) -> None:
        for _ in range(number):
            answer = await litellm.acompletion(messages=messages, **fixed)
            assert answer.choices[0].message.content == TEXT

    await run(2)  # the first is no hit
    await asyncio.sleep(0.1)  # it keeps answers in a task of its own
    return [contender(LITELLM, run, 0.05)]


@asynccontextmanager
async def contests(loop: str) -> AsyncIterator[list[Contest]]:
    """Open connections to a bare proxy that passes through, and to a gateway that answers from memory."""
    settings = SETTINGS.replace('"provider-openai"', '"provider-openai", "cache-memory"')
    settings += '[sharing]\npolicy = "all"\n'
    with load_on_its_core(), ExitStack() as stack:
        async with upstream() as (fake, port), AsyncExitStack() as open_crowds:
            proxies = [
                stack.enter_context(program("bare_proxy", BARE, port, loop)),
                stack.enter_context(gateway(OURS, port, loop, settings=settings)),
            ]
            made = []
            for proxy in proxies:
                load = crowd(proxy, fake, CONNECTIONS)
                made.append(Contest(proxy, await open_crowds.enter_async_context(load)))
            yield made


async def _gateway(bench: Bench) -> list[Row]:
    if not can_measure():
        return []
    found: list[Row] = []
    for loop in ("asyncio", *(["uvloop"] if find_spec("uvloop") else [])):
        async with contests(loop) as (bare, ours):
            both = [bare.contender(), ours.contender()]
            samples = await compare(both, rounds=bench.rounds, turns=1, size=CONNECTIONS * 4)
        serving = f"{CONNECTIONS} connections, {loop}"
        found += [
            Row(case=CASE, what=f"{BARE}: {serving}", cost=samples.cost(BARE), note=_pace(bare)),
            Row(case=CASE, what=f"{OURS}: {serving}", cost=samples.cost(OURS), figure=samples.ratio(OURS, BARE),
                target=GATEWAY_TARGET, note=f"{_pace(ours)}; 0.4 x is 2.5 times as many on one core"),
        ]  # fmt: skip
    return found


def _pace(one: Contest) -> str:
    return f"{1 / Spread.of(one.paces).median:.0f} requests a second"
