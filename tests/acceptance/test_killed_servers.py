"""Three real llama.cpp servers under load, one killed again and again: no answer is lost, doubled or mixed up.

The tiny model never ends an answer by itself, so a request for n tokens gets n, and the length of its prompt in tokens
is known beforehand. The pair tells whose answer it is.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Self

import attrs

from localagent import Attempt, Call, Client, Metric, Outcome, Plugin, hookimpl
from localagent.errors import StreamInterrupted
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import tiny_gguf

FULL = os.environ.get("LOCALAGENT_FULL") == "1"
CALLS = 5_000 if FULL else 600
AT_A_TIME = 200
CALLS_A_KILL = 250 if FULL else 120
LENGTHS = range(1, 41)
TOKENS = range(2, 12)


class Ledger(Plugin):
    """Counts how every call and attempt ended."""

    name = "metrics-ledger"
    default = False
    metrics: Counter[str]
    good: Counter[str]

    async def __aenter__(self) -> Self:
        Ledger.metrics, Ledger.good = Counter(), Counter()
        return self

    @hookimpl
    def record_metric(self, call: Call, metric: Metric) -> None:
        """Count the call."""
        Ledger.metrics[call.id] += 1

    @hookimpl
    def after_attempt(self, attempt: Attempt, outcome: Outcome) -> None:
        """Count the attempt that answered."""
        Ledger.good[attempt.call.id] += outcome.status == "ok"


@attrs.define
class Tally:
    """What became of the calls."""

    ended: int = 0
    answered: int = 0
    interrupted: int = 0
    kills: int = 0
    wrong: list[str] = attrs.Factory(list)


def prompt(length: int) -> str:
    return "word " * length


async def one_call(client: Client, length: int, tokens: int, expected: int, *, stream: bool, tally: Tally) -> None:
    """Ask once, and note what came of it."""
    try:
        if stream:
            async with client.stream(prompt(length), max_tokens=tokens, stream_options={"include_usage": True}) as run:
                await run.text()
                usage = run.usage
        else:
            usage = (await client.chat(prompt(length), max_tokens=tokens)).usage
    except StreamInterrupted as error:
        tally.interrupted += 1
        if not stream or not error.partial:
            tally.wrong.append(f"interrupted before any content: {error!r}")
    else:
        tally.answered += 1
        got = (usage.prompt_tokens, usage.completion_tokens) if usage else None
        if got != (expected, tokens):
            tally.wrong.append(f"asked {expected} for {tokens}, got {got}")
    finally:
        tally.ended += 1


def client_of(model: Path) -> Client:
    from localagent_failure_retry import RetryPlugin
    from localagent_provider_llamacpp.plugin import LlamaCppPlugin
    from localagent_select_least_busy import LeastBusyPlugin

    settings = {
        "default_model": "local/default",
        "providers": {
            "local": {"type": "llamacpp", "model": str(model), "processes": 3, "parallel": 8, "threads": 1,
                      "context": 256, "embeddings": False},
        },
        # How many retries may be made is not what is tested here; every kill costs a third of the calls under way.
        "retry": {"ratio": 1.0},
        "health": {"interval": "1 s"},
    }  # fmt: skip
    return Client(
        settings, plugins=[AiohttpConnectPlugin, LlamaCppPlugin, LeastBusyPlugin, RetryPlugin, Ledger], seed=7
    )


async def killer(client: Client, tally: Tally) -> None:
    """Kill a server whenever another lot of calls has ended; never the last one that is well."""
    provider = (await client.runtime()).fleet.registry.providers["local"].provider
    servers = list(provider._servers.values())  # type: ignore[attr-defined]
    chance = random.Random(7)
    while True:
        until = tally.ended + CALLS_A_KILL
        while tally.ended < until:  # noqa: ASYNC110 - a schedule of the load, not a synchronisation
            await asyncio.sleep(0.01)
        well = [server for server in servers if server.state == "ready"]
        if len(well) > 1:
            os.kill(chance.choice(well).pid, signal.SIGKILL)
            tally.kills += 1


async def test_no_answer_is_lost_doubled_or_mixed(tmp_path: Path) -> None:
    """Calls that were not committed are answered; committed streams that were cut end in StreamInterrupted."""
    tally = Tally()
    chance = random.Random(11)
    async with client_of(tiny_gguf(tmp_path)) as client:
        sizes = {}
        for length in LENGTHS:
            usage = (await client.chat(prompt(length), max_tokens=2)).usage
            assert usage is not None
            sizes[length] = usage.prompt_tokens
        assert len(set(sizes.values())) == len(sizes)
        slots = asyncio.Semaphore(AT_A_TIME)

        async def call(number: int) -> None:
            async with slots:
                length, tokens = chance.choice(LENGTHS), chance.choice(TOKENS)
                await one_call(client, length, tokens, sizes[length], stream=bool(number % 2), tally=tally)

        killing = asyncio.create_task(killer(client, tally))
        async with asyncio.TaskGroup() as group:
            for number in range(CALLS):
                group.create_task(call(number))
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        runtime = await client.runtime()
        in_flight = [runtime.instances.state(instance).in_flight for instance in runtime.instances]

    print(f"{CALLS} calls, {tally.kills} kills: {tally.answered} answered, {tally.interrupted} interrupted")
    assert tally.wrong == []
    assert tally.kills >= CALLS // CALLS_A_KILL // 2  # a kill is left out while fewer than two servers are well
    assert tally.answered + tally.interrupted == tally.ended == CALLS
    assert in_flight == [0, 0, 0]
    assert set(Ledger.metrics.values()) == {1}
    assert sum(Ledger.good.values()) == tally.answered + len(LENGTHS)
    assert max(Ledger.good.values()) == 1
