"""Requests through the core and over sockets: they spread over instances by what each has to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from localagent import Client
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_select_least_busy import LeastBusyPlugin
from localagent_testing import FaultServer, Hold, ReadRequest, ReceivedRequest, Script, Send, WirePlugin, answer

OK = answer(200, {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}}]})


class Gathering:
    """Servers that answer nobody before a number of requests has come to all of them together."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self.servers: list[FaultServer] = []

    def choose(self, request: ReceivedRequest) -> Script:
        """Hold every answer back until the last request is there."""
        self._missing -= 1
        if self._missing <= 0:
            for server in self.servers:
                server.release()
        return (ReadRequest(), Hold(30.0), Send(OK))

    @property
    def counts(self) -> list[int]:
        """How many requests came to each."""
        return [len(server.requests) for server in self.servers]


@asynccontextmanager
async def gathering(weights: Sequence[float], expected: int) -> AsyncIterator[tuple[Gathering, Client]]:
    gathered = Gathering(expected)
    async with AsyncExitStack() as stack:
        for _ in weights:
            gathered.servers.append(await stack.enter_async_context(FaultServer(gathered.choose)))
        places = [
            {"url": server.url, "weight": weight} for server, weight in zip(gathered.servers, weights, strict=True)
        ]
        given = {
            "default_model": "wire/model",
            "providers": {"wire": {"instances": places}},
            "health": {"enabled": False},
        }
        client = Client(given, plugins=[AiohttpConnectPlugin, WirePlugin, LeastBusyPlugin], environment={}, seed=1)
        yield gathered, await stack.enter_async_context(client)


async def in_flight(client: Client) -> list[int]:
    core = await client.runtime()
    return [core.instances.state(instance).in_flight for instance in core.instances]


async def test_concurrent_calls_spread_evenly() -> None:
    """100 calls at a time over 4 instances: 25 each, and nothing is counted as in flight afterwards."""
    async with gathering([1, 1, 1, 1], 100) as (gathered, client):
        await asyncio.gather(*(client.chat("Hello") for _ in range(100)))
        assert gathered.counts == [25, 25, 25, 25]
        assert await in_flight(client) == [0, 0, 0, 0]


async def test_concurrent_calls_spread_by_weight() -> None:
    """An instance of weight 3 gets three times as many as one of weight 1."""
    async with gathering([1, 3], 40) as (gathered, client):
        await asyncio.gather(*(client.chat("Hello") for _ in range(40)))
        assert gathered.counts == [10, 30]


async def test_calls_one_by_one_do_not_all_go_to_the_first() -> None:
    """New instances are tried before any is asked twice."""
    async with gathering([1, 1, 1, 1], 0) as (gathered, client):
        for _ in range(4):
            await client.chat("Hello")
        assert gathered.counts == [1, 1, 1, 1]


async def test_an_instance_that_fails_at_once_does_not_draw_the_traffic() -> None:
    """What refuses quickly is idle most of the time; that makes it no better choice."""
    async with gathering([1, 1], 0) as (gathered, client):
        core = await client.runtime()
        broken, sound = core.instances
        core.instances.state(broken).failed("No key.", sick=False)
        for _ in range(10):
            await client.chat("Hello")
        assert gathered.counts == [0, 10]
        assert core.instances.state(sound).in_flight == 0
