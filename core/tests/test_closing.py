"""A client that closes waits for what is under way, and does nothing while it waits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

import pytest

from localagent import Attempt, Client, LocalAgentError, Plugin, hookimpl
from localagent.errors import Draining
from localagent.timing.background import CLOSING_SECONDS
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProvider

pytestmark = pytest.mark.virtual

FEW = 100
"""Turns of the loop; waiting by turning takes thousands, on a virtual clock for ever."""


class Stubborn(Plugin):
    """Goes on for a while, no matter who cancels it."""

    name = "guard-stubborn"

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> None:
        end = self.core.clock() + 2.0
        while self.core.clock() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(end - self.core.clock())


class Deaf(Plugin):
    """Does something in the background that never ends, no matter who cancels it."""

    name = "guard-deaf"
    ended = False

    @hookimpl
    async def pre_request(self) -> None:
        self.core.spawn(self._work(), "deafness")

    async def _work(self) -> None:
        while not type(self).ended:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600.0)


class Turns:
    """Counts the turns of the running loop."""

    def __init__(self) -> None:
        self.count = 0
        self._loop: Any = asyncio.get_running_loop()
        self._once = self._loop._run_once

    def __enter__(self) -> Self:
        self._loop._run_once = self._turn
        return self

    def __exit__(self, *_: object) -> None:
        del self._loop._run_once

    def _turn(self) -> None:
        self.count += 1
        if self.count > 10_000:
            self._loop.stop()
        self._once()


async def open_client(*plugins: Any, replies: Any = None) -> tuple[Client, Any]:
    fake = fake_provider_plugin(replies)
    client = Client({"health": {"enabled": False}}, plugins=[fake, *plugins], environment={}, seed=1)
    return client, await client.runtime()


async def ask(client: Client, streamed: bool) -> object:
    try:
        return await (client.stream("Hi.").text() if streamed else client.chat("Hi."))
    except LocalAgentError as error:
        return error


@pytest.mark.parametrize("streamed", [False, True])
async def test_closing_waits_without_turning_the_loop(streamed: bool) -> None:
    """For a step that does not let itself be cancelled, say."""
    client, runtime = await open_client(Stubborn)
    call = asyncio.create_task(ask(client, streamed))
    await asyncio.sleep(0.5)
    begun = asyncio.get_running_loop().time()
    with Turns() as turns:
        await client.aclose()
    assert 1.0 < asyncio.get_running_loop().time() - begun < CLOSING_SECONDS
    assert turns.count < FEW
    assert call.done()
    assert not runtime.engine.calls
    assert not runtime.engine.streams


async def test_closing_waits_for_no_call_for_ever() -> None:
    """A call that closes its own client is under way until that has closed."""
    closed = []

    class Closes(Plugin):
        name = "guard-closes"

        @hookimpl
        async def pre_request(self) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await client.aclose()
            closed.append(True)

    client, _ = await open_client(Closes)
    with Turns() as turns:
        await ask(client, False)
    assert turns.count < FEW
    await client.aclose()
    assert closed == [True]


async def test_closing_with_nothing_under_way_takes_no_time() -> None:
    client, _ = await open_client()
    await client.chat("Hi.")
    begun = asyncio.get_running_loop().time()
    with Turns() as turns:
        await client.aclose()
    assert asyncio.get_running_loop().time() == begun
    assert turns.count < FEW


async def test_closing_many_calls_takes_few_turns() -> None:
    client, _ = await open_client(replies=Reply("late", after=100.0))
    calls = [asyncio.create_task(ask(client, number % 2 == 0)) for number in range(200)]
    await asyncio.sleep(1.0)
    begun = asyncio.get_running_loop().time()
    with Turns() as turns:
        await client.aclose()
    assert asyncio.get_running_loop().time() == begun
    assert turns.count < FEW
    assert {type(await call) for call in calls} == {Draining}


async def test_background_work_that_does_not_listen_does_not_keep_a_client_open() -> None:
    client, _ = await open_client(Deaf)
    await client.chat("Hi.")
    with Turns() as turns:
        await client.aclose()
    assert turns.count < FEW
    Deaf.ended = True
    for task in asyncio.all_tasks() - {asyncio.current_task()}:  # type: ignore[operator]
        task.cancel()
    await asyncio.sleep(0)


async def test_a_provider_that_hangs_while_it_opens_does_not_keep_a_client_open() -> None:
    class Provider(FakeProvider):
        async def open(self) -> None:
            await asyncio.sleep(1e9)

    fake = fake_provider_plugin()
    fake._make = lambda self, setup: Provider(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    client = Client({"health": {"enabled": False}}, plugins=[fake], environment={})
    await client.runtime()
    call = asyncio.create_task(ask(client, False))
    await asyncio.sleep(1.0)
    with Turns() as turns:
        await client.aclose()
    assert turns.count < FEW
    assert isinstance(await call, Draining)
