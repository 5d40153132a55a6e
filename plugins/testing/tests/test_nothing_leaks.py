"""Nothing leaks: calls and streams that are left at random points, against a real socket.

300 of each by default, 10,000 with ``LOCALAGENT_FULL=1``.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from localagent import Attempt, Client, LocalAgentError, Plugin, Retry, hookimpl
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import (
    FaultServer,
    ReceivedRequest,
    Reset,
    Script,
    Send,
    Stall,
    WirePlugin,
    answer,
    chunk,
    chunked,
    head,
    sse,
)
from localagent_testing.contracts.base import CLOSING_SECONDS, often

# Streams that are dropped on purpose below give this warning, which is tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:A stream was dropped:ResourceWarning")

MANY = often(300, 10_000)
AT_ONCE = 30
EVENTS = [{"choices": [{"index": 0, "delta": {"content": f"{number} "}}]} for number in range(12)]
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
WHOLE = {"choices": [{"index": 0, "message": {"content": "whole"}, "finish_reason": "stop"}]}


class Taken(Plugin):
    """Takes a slot for every attempt and gives it back; retries once in a while."""

    name = "rate-taken"
    taken = 0

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> None:
        type(self).taken += 1
        attempt.defer(self.give)
        await asyncio.sleep(0)

    def give(self, outcome: object) -> None:
        type(self).taken -= 1

    @hookimpl
    async def on_failure(self, attempt: Attempt) -> Retry | None:
        return Retry("same") if attempt.number < 2 else None


def script(request: ReceivedRequest) -> Script:
    """Say as much as the prompt asks for, and then stall, so that only the client can close; or all of it."""
    asked = re.search(rb"say (\d+)", request.body)
    said = int(asked[1]) if asked else 0
    whole = said > len(EVENTS)
    if b'"stream":true' not in request.body:
        if whole:
            return (Send(answer(200, WHOLE, {"Connection": "close"})),)
        return (Send(head(200, {"Content-Length": "100"}) + b"{" * said),) * bool(said) + (Stall(),)
    if said == 0:
        return (Reset(),) if request.number % 2 else (Stall(),)
    begin = Send(head(200, {"Transfer-Encoding": "chunked", "Connection": "close"}))
    events = [Send(chunk(sse([event]))) for event in EVENTS[:said]]
    return (begin, *events, *([Send(chunked([sse([LAST, "[DONE]"])]))] if whole else [Stall()]))


@asynccontextmanager
async def counted(server: FaultServer) -> AsyncIterator[Client]:
    """A client; at the end every count is back where it was at the start."""
    settings = {
        "providers": {"wire": {"instances": [server.url], "pool": {"limit": AT_ONCE}}},
        "health": {"enabled": False},
        "retry": {"floor": 10_000},
    }
    Taken.taken = 0
    async with Client(settings, plugins=[AiohttpConnectPlugin, WirePlugin, Taken], environment={}) as client:
        tasks = asyncio.all_tasks()
        yield client
        runtime = await client.runtime()
        (state,) = [runtime.instances.state(instance) for instance in runtime.instances]
        await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)
        while background := asyncio.all_tasks() - tasks - _servers():
            await asyncio.wait(background)
        assert (state.in_flight, Taken.taken, len(runtime.engine.streams)) == (0, 0, 0)
        assert (state.transport.permits.used, state.transport.permits.waiting) == (0, 0)


def _servers() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if "FaultServer" in repr(task.get_coro())}


async def all_of(count: int, one: Callable[[int, random.Random], Awaitable[None]]) -> None:
    """Do something many times, some at a time, each with randomness of its own."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def limited(number: int) -> None:
        async with slots:
            await one(number, random.Random(number))

    await asyncio.gather(*(limited(number) for number in range(count)))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled_after(count: int, work: Awaitable[object]) -> None:
    task = asyncio.ensure_future(work)
    await turns(count)
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError | LocalAgentError | None) or outcome.text == "whole"


# Calls ----------------------------------------------------------------------------------------------------------------


async def test_calls_that_are_cancelled_anywhere_leave_nothing() -> None:
    """Sessions, tasks, sockets, slots and counts are back at their start."""
    async with FaultServer(script) as server, counted(server) as client:

        async def one(number: int, source: random.Random) -> None:
            if number % 5 == 0:
                assert (await client.chat("say 99", model="wire/m")).text == "whole"
            else:
                work = client.chat(f"say {source.randrange(10)}", model="wire/m")
                await cancelled_after(source.randrange(60), work)

        await all_of(MANY, one)
        assert server.connections.accepted > MANY / 2


# Streams --------------------------------------------------------------------------------------------------------------


async def read(client: Client, say: int, most: int) -> None:
    """Read that many chunks of a stream, and leave it by the end of ``async with``."""
    async with client.stream(f"say {say}", model="wire/m") as stream:
        async for _ in stream:
            most -= 1
            if most <= 0:
                break


async def closes(client: Client, source: random.Random) -> None:
    """Read some, then ``aclose``."""
    say = source.randrange(1, 12)
    stream = client.stream(f"say {say}", model="wire/m")
    for _ in range(source.randrange(say)):
        await anext(stream)
    await stream.aclose()


async def leaves(client: Client, source: random.Random) -> None:
    """Read some, then leave ``async with``."""
    say = source.randrange(1, 12)
    await read(client, say, source.randrange(1, say + 1))


async def is_cancelled(client: Client, source: random.Random) -> None:
    """Read more than there is, until cancelled."""
    await cancelled_after(source.randrange(80), read(client, source.randrange(12), 99))


async def drops(client: Client, source: random.Random) -> None:
    """Read some, then let go of the last reference."""
    say = source.randrange(1, 12)
    stream = client.stream(f"say {say}", model="wire/m")
    for _ in range(source.randrange(1, say + 1)):
        await anext(stream)
    del stream


async def finishes(client: Client, source: random.Random) -> None:
    """Read all of it."""
    async with client.stream("say 99", model="wire/m") as stream:
        assert len((await stream.text()).split()) == len(EVENTS)


WAYS = [closes, leaves, is_cancelled, drops, finishes]


async def test_streams_that_are_left_anywhere_leave_nothing() -> None:
    """However they are left: connections, tasks, sockets, slots and counts are back at their start."""
    async with FaultServer(script) as server, counted(server) as client:

        async def one(number: int, source: random.Random) -> None:
            await WAYS[number % len(WAYS)](client, source)

        await all_of(MANY, one)
        assert server.connections.accepted > MANY / 2


@pytest.mark.parametrize("way", [closes, leaves, is_cancelled, drops])
async def test_a_connection_that_was_left_is_closed_at_once(
    way: Callable[[Client, random.Random], Awaitable[None]],
) -> None:
    """Within 100 ms; one at a time, so that nothing else is measured."""
    async with FaultServer(script) as server, counted(server) as client:
        for number in range(often(10, 200)):
            await way(client, random.Random(number))
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)  # raises where one stays open
            assert server.connections.open == 0
        assert server.connections.accepted > 0
