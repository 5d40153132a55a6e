"""A server that closes kept connections just as they are used again, and what calls see of it.

``python tests/acceptance/racing.py`` prints the figures of docs/explanation/facts.md.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
from attempt_ids import HEADER, TRANSPORTS, client_of, new_book, number_attempts

from localagent import LocalAgentError
from localagent_testing import Close, FaultServer, Pause, Reset, Script, Send, answer
from localagent_testing.connection import ReceivedRequest

MESSAGE = {"role": "assistant", "content": "Hello."}
GOOD = Send(answer(200, {"id": "1", "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}))
ONE_IN = 7
AFTER = 0.002


@attrs.define
class Tally:
    """What came of the calls.

    Attributes:
        errors: What calls ended in.
        attempts: Attempts that were reported.
        broken: Attempts whose kept connection broke.
        drawn: Retries that the budget gave.
        refused: Retries that it refused.
        executed_twice: Ids that the server read more than once.
    """

    errors: list[LocalAgentError] = attrs.Factory(list)
    attempts: int = 0
    broken: int = 0
    drawn: int = 0
    refused: int = 0
    executed_twice: list[str] = attrs.Factory(list)


async def race(transport: str, calls: int, *, retry: bool) -> Tally:
    """Call a server that reads a request on a kept connection and closes it, once in so many times."""
    seen: set[int] = set()
    reused = 0

    def script(request: ReceivedRequest) -> Script:
        nonlocal reused
        if request.connection not in seen:
            seen.add(request.connection)
            return (GOOD,)
        reused += 1
        return (GOOD,) if reused % ONE_IN else (Reset(),)

    return await _called(transport, calls, script, retry=retry, budget={})


async def forced_race(transport: str, calls: int, *, retry: bool, budget: dict[str, float] | None = None) -> Tally:
    """Call a server that closes every connection 2 ms after its answer; calls follow each other at once."""
    return await _called(transport, calls, lambda _: (GOOD, Pause(AFTER), Close()), retry=retry, budget=budget or {})


async def _called(
    transport: str, calls: int, script: Callable[[ReceivedRequest], Script], *, retry: bool, budget: dict[str, float]
) -> Tally:
    tally, book = Tally(), new_book()
    async with FaultServer(script) as server:
        async with client_of([server.url + "/v1"], book, transport, retry_plugin=retry, retry=budget) as client:
            runtime = await number_attempts(client, book)
            _count_draws(runtime.engine.budget, tally)
            for _ in range(calls):
                try:
                    await client.chat("Hello.")
                except LocalAgentError as error:
                    tally.errors.append(error)
        read = Counter(request.header(HEADER) or "?" for request in server.requests)
    tally.attempts = len(book.ended) + len(book.unsent)
    tally.broken = sum(end.error is not None and end.error.advice.stale for _, end in book.ended.values())
    tally.executed_twice = [number for number, times in read.items() if times > 1]
    return tally


def _count_draws(budget: Any, tally: Tally) -> None:
    draw = budget.draw

    def counted() -> bool:
        given: bool = draw()
        tally.drawn += given
        tally.refused += not given
        return given

    budget.draw = counted


async def _print_figures(calls: int) -> None:
    """Print a table in Markdown."""
    sys.stdout.write(f"{calls} calls, one after the other, with the default retry budget:\n\n")
    sys.stdout.write(
        "| transport | server | broken | errors without failure-retry | errors with it |\n|---|---|---|---|---|\n"
    )
    for transport in TRANSPORTS:
        for server, play in (
            ("closes one kept connection in seven as it is used", race),
            ("closes each connection 2 ms after its answer", forced_race),
        ):
            without, with_it = await play(transport, calls, retry=False), await play(transport, calls, retry=True)
            sys.stdout.write(
                f"| {transport} | {server} | {without.broken} | {len(without.errors) / calls:.1%} "
                f"| {len(with_it.errors) / calls:.1%}, refused by the budget {with_it.refused} |\n"
            )


if __name__ == "__main__":
    asyncio.run(_print_figures(int(sys.argv[1]) if len(sys.argv) > 1 else 1_500))
