"""Every request that a server begins to work on belongs to one attempt that is reported, whatever breaks.

Three servers log the id of each request before they work, and are killed, or break their connections, one after the
other under load. Another one closes kept connections just as they are used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from attempt_ids import TRANSPORTS, Book, client_of, new_book, number_attempts
from racing import forced_race, race

from localagent import Client, LocalAgentError, Outcome
from localagent.errors import StreamInterrupted
from localagent_testing.contracts.base import often

CALLS = often(360, 20_000)
CALLS_A_BREAK = often(30, 250)
AT_A_TIME = 16
RACING_CALLS = often(250, 1_500)
SERVER = Path(__file__).with_name("id_logging_server.py")


@attrs.define
class Killed:
    """A server in a process that is killed and started again, at the same port.

    Attributes:
        log: Where it writes the ids of requests.
        port: Its port; 0 until it was started once.
        breaks: Clock times between which it died or broke its connections.
    """

    log: Path
    port: int = 0
    breaks: list[tuple[float, float]] = attrs.Factory(list)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; returns when it listens."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(SERVER), str(self.port), str(self.log), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        self.port = int(await process.stdout.readline())

    async def kill(self) -> None:
        """Kill it; returns when it is gone."""
        assert self._process is not None
        begun = asyncio.get_running_loop().time()
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self.breaks.append((begun, asyncio.get_running_loop().time()))

    async def restart(self) -> None:
        """Kill it and start it again."""
        await self.kill()
        await self.start()

    async def drop(self) -> None:
        """Make it break all its connections and go on, as where a proxy stands before it; returns when it has."""
        assert self._process is not None
        assert self._process.stdout is not None
        begun = asyncio.get_running_loop().time()
        self._process.send_signal(signal.SIGUSR1)
        await self._process.stdout.readline()
        self.breaks.append((begun, asyncio.get_running_loop().time()))

    def broke_during(self, outcome: Outcome) -> bool:
        """Say whether its connections broke while an attempt was under way."""
        return any(outcome.started <= end and begun <= outcome.ended for begun, end in self.breaks)


@contextlib.asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[list[Killed]]:
    """Give three running servers."""
    started = [Killed(folder / f"{number}.log") for number in range(3)]
    await asyncio.gather(*(server.start() for server in started))
    try:
        yield started
    finally:
        await asyncio.gather(*(server.kill() for server in started))


async def ask(client: Client, number: int, ends: Counter[str]) -> None:
    """Ask once, and note how it ended; half of the calls are streams."""
    try:
        if number % 2:
            async with client.stream("Hello.") as stream:
                await stream.text()
        else:
            await client.chat("Hello.")
    except StreamInterrupted:
        ends["interrupted"] += 1
    except LocalAgentError:
        ends["failed"] += 1
    else:
        ends["answered"] += 1


async def under_chaos(client: Client, up: list[Killed]) -> Counter[str]:
    """Ask round by round; amid each one a server dies or breaks its connections. Return how the calls ended."""
    ends: Counter[str] = Counter()
    slots = asyncio.Semaphore(AT_A_TIME)

    async def call(number: int) -> None:
        async with slots:
            await ask(client, number, ends)
        if ends.total() % CALLS_A_BREAK == CALLS_A_BREAK // 2:
            time = number // CALLS_A_BREAK
            await (up[time % 3].restart() if time % 4 == 0 else up[time % 3].drop())

    for first in range(0, CALLS, CALLS_A_BREAK):
        async with asyncio.TaskGroup() as group:
            for number in range(first, first + CALLS_A_BREAK):
                group.create_task(call(number))
    return ends


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_no_id_is_executed_twice_under_chaos(transport: str, tmp_path: Path) -> None:
    """Each logged id is one reported attempt's; what was not logged failed before it was read, or at a break."""
    book = new_book()
    async with servers(tmp_path) as up:
        urls = [f"http://127.0.0.1:{server.port}/v1" for server in up]
        async with client_of(urls, book, transport, retry={"ratio": 1.0}) as client:
            await number_attempts(client, book)
            ends = await under_chaos(client, up)
        logged = Counter(line for server in up for line in server.log.read_text().split())
    print(f"{transport}: {dict(ends)}, {len(book.ended)} attempts, {len(logged)} executed")
    assert ends.total() == CALLS
    assert ends["failed"] <= CALLS * 0.05
    assert sum(len(server.breaks) for server in up) == CALLS // CALLS_A_BREAK + 3  # all of them end with the test
    assert [number for number, times in logged.items() if times > 1] == []
    assert set(logged) <= set(book.ended)
    assert wrong(book, logged, dict(zip(urls, up, strict=True))) == []


def wrong(book: type[Book], logged: Counter[str], up: dict[str, Killed]) -> list[str]:
    """Name the attempts that were not executed although nothing explains it."""
    found = []
    for number, (attempt, outcome) in book.ended.items():
        if number in logged:
            continue
        never_sent = outcome.error is not None and not outcome.error.advice.sent
        if outcome.status != "failed" or not (never_sent or up[attempt.target.instance.url].broke_during(outcome)):
            found.append(f"{number}: {outcome.status}, {outcome.error!r}")
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_race_is_not_seen_with_failure_retry(transport: str) -> None:
    """Where one kept connection in seven breaks nobody sees an error, and each repeat is a counted attempt."""
    tally = await race(transport, RACING_CALLS, retry=True)
    assert tally.errors == []
    assert 0.1 <= tally.broken / RACING_CALLS <= 0.15
    assert tally.attempts == RACING_CALLS + tally.broken
    assert tally.executed_twice == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_race_is_an_error_without_failure_retry(transport: str) -> None:
    """Each break is one failed attempt of unknown cost, and nothing is sent again."""
    tally = await race(transport, RACING_CALLS, retry=False)
    assert len(tally.errors) == tally.broken > 0
    assert {(error.advice.stale, error.advice.billed) for error in tally.errors} == {(True, "unknown")}
    assert tally.attempts == RACING_CALLS
    assert tally.executed_twice == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_forced_race_shows_what_the_budget_refuses(transport: str) -> None:
    """The server closes 2 ms after each answer: errors are exactly the repeats that the retry budget refuses."""
    tally = await forced_race(transport, RACING_CALLS, retry=True, budget={"ratio": 0.2, "floor": 0.1})
    assert tally.broken > 0
    assert len(tally.errors) == tally.refused
    assert all(error.advice.stale for error in tally.errors)
    assert tally.attempts == RACING_CALLS + tally.drawn
    assert tally.executed_twice == []
