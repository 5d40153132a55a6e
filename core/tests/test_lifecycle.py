"""Opening, closing, asking for models, checking, and instances that come and go: in any order, at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import pytest

from localagent import Client, Instance, LocalAgentError, ModelInfo, Plugin, hookimpl
from localagent.errors import Draining, InternalError, StartError, UpstreamTimeout
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProvider

pytestmark = pytest.mark.virtual

CALM = {"health": {"enabled": False}}


class Gate(Plugin):
    """A plugin that takes its time to open and to close, and writes down what it does."""

    name = "a-gate"
    events: list[str]
    opens = 1.0
    closes = 0.0
    deaf = False
    survives_reload = True

    async def __aenter__(self) -> Self:
        self.events.append(f"{self.name} opens")
        end = asyncio.get_running_loop().time() + self.opens
        while (left := end - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(*[asyncio.CancelledError] if self.deaf else []):
                await asyncio.sleep(left)
        self.events.append(f"{self.name} is open")
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.sleep(self.closes)
        self.events.append(f"{self.name} is closed")


def gate(events: list[str], **more: Any) -> type[Gate]:
    return type("Made", (Gate,), {"events": events, **more})


def balance(events: list[str]) -> list[str]:
    """The plugins that are open."""
    opened = [event.removesuffix(" is open") for event in events if event.endswith("is open")]
    for event in events:
        if event.endswith("is closed"):
            opened.remove(event.removesuffix(" is closed"))
    return opened


def client_of(*plugins: Any, fake: Any = None, **more: Any) -> Client:
    return Client(CALM, plugins=[fake or fake_provider_plugin(), *plugins], environment={}, seed=1, **more)


async def outcome(work: Any) -> object:
    try:
        return await work
    except Exception as error:  # what it was is the result
        return error


# Opening and closing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("after", [0.5, 1.5])
async def test_a_client_that_is_closed_while_it_opens_leaves_nothing_open(after: float, deaf: bool) -> None:
    """In the first plugin, and in the second; also when a plugin does not let itself be interrupted."""
    events: list[str] = []
    client = client_of(gate(events, deaf=deaf), gate(events, name="b-gate", deaf=deaf))
    opening = [asyncio.create_task(outcome(client.chat("Hi."))) for _ in range(3)]
    await asyncio.sleep(after)
    await client.aclose()
    assert balance(events) == []
    assert [type(await task) for task in opening] == [StartError] * 3
    count = len(events)
    with pytest.raises(StartError, match="closed"):
        await client.chat("Hi.")
    with pytest.raises(StartError):
        client.stream("Hi.")
    assert len(events) == count


async def test_who_opens_a_client_that_is_closed_is_not_cancelled() -> None:
    """It gets an error, and its task goes on."""
    client = client_of(gate([]))
    opening = asyncio.create_task(outcome(client.__aenter__()))
    await asyncio.sleep(0.5)
    await client.aclose()
    assert isinstance(await opening, StartError)
    assert not opening.cancelled()
    assert opening.cancelling() == 0


@pytest.mark.parametrize("after", [0.5, 1.5])
async def test_an_opening_that_is_cancelled_leaves_nothing_open_and_can_be_repeated(after: float) -> None:
    events: list[str] = []
    client = client_of(gate(events), gate(events, name="b-gate"))
    opening = asyncio.create_task(client.runtime())
    await asyncio.sleep(after)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert balance(events) == []
    assert (await client.chat("Hi.")).text == "ok"
    await client.aclose()
    assert balance(events) == []


async def test_one_of_several_that_open_may_leave() -> None:
    """The next one opens."""
    events: list[str] = []
    client = client_of(gate(events))
    tasks = [asyncio.create_task(outcome(client.chat("Hi."))) for _ in range(3)]
    await asyncio.sleep(0.5)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks[1:])
    assert [answer.text for answer in answers] == ["ok", "ok"]  # type: ignore[attr-defined]
    assert balance(events) == ["a-gate"]
    await client.aclose()


async def test_all_who_close_wait_until_it_is_closed() -> None:
    events: list[str] = []
    client = client_of(gate(events, closes=1.0))
    runtime = await client.runtime()
    first = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.5)
    second, third = asyncio.create_task(client.aclose()), asyncio.create_task(runtime.aclose())
    await asyncio.sleep(0.1)
    assert (first.done(), second.done(), third.done()) == (False, False, False)
    await second
    assert events[-1] == "a-gate is closed"
    await asyncio.gather(first, third)
    await client.aclose()
    assert events.count("a-gate is closed") == 1


async def test_closing_that_is_cancelled_closes_all_the_same() -> None:
    events: list[str] = []
    client = client_of(gate(events, closes=1.0), gate(events, name="b-gate", closes=1.0))
    await client.runtime()
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.5)
    closing.cancel()
    await asyncio.wait([closing])
    assert "a-gate is closed" in events


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_closing_client_begins_nothing(streamed: bool) -> None:
    fake = fake_provider_plugin()
    client = client_of(gate([], closes=1.0), fake=fake)
    runtime = await client.runtime()
    stream = client.stream("Hi.")
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.5)
    ended = await outcome(stream.text() if streamed else client.chat("Hi."))
    assert isinstance(ended, Draining | StartError)
    await closing
    assert isinstance(await outcome(stream.text()), Draining)
    assert isinstance(await outcome(runtime.models.refresh(next(iter(runtime.instances)))), Draining)
    assert fake.asked == []


async def test_a_reload_that_is_cancelled_can_be_repeated() -> None:
    """The plugin lives on in the client of before, and is taken over by the one that opens."""
    events: list[str] = []
    kind = gate(events)
    first = client_of(kind)
    await first.runtime()
    second = client_of(kind, gate(events, name="b-gate"), replaces=first)
    opening = asyncio.create_task(second.runtime())
    await asyncio.sleep(0.5)
    opening.cancel()
    await asyncio.wait([opening])
    assert balance(events) == ["a-gate"]
    await second.runtime()
    await first.aclose()
    assert events.count("a-gate opens") == 1
    assert balance(events) == ["a-gate", "b-gate"]
    await second.aclose()
    assert balance(events) == []


async def test_the_client_of_before_may_close_while_the_next_opens() -> None:
    events: list[str] = []
    kind = gate(events)
    first = client_of(kind)
    await first.runtime()
    second = client_of(kind, gate(events, name="b-gate"), replaces=first)
    opening = asyncio.create_task(second.runtime())
    await asyncio.sleep(0.5)
    await first.aclose()
    await opening
    assert (await second.chat("Hi.")).text == "ok"
    assert balance(events) == ["a-gate", "b-gate"]
    await second.aclose()
    assert balance(events) == []


# Models and checks ----------------------------------------------------------------------------------------------------


class Provider(FakeProvider):
    """Lists its models and is checked after a second."""

    said: Callable[[Instance], Any] = staticmethod(lambda instance: [ModelInfo("m", instance=instance.id)])

    async def list_models(self, instance: Instance, transport: Any, phases: Any) -> Sequence[ModelInfo]:
        await asyncio.sleep(1.0)
        return type(self).said(instance)  # type: ignore[no-any-return]

    async def check(self, instance: Instance, transport: Any, phases: Any) -> None:
        await self.list_models(instance, transport, phases)


def slow(*names: str, said: Callable[[Instance], Any] | None = None) -> Any:
    made = type("Made", (Provider,), {} if said is None else {"said": staticmethod(said)})
    kind = fake_provider_plugin({name: Reply() for name in names})
    kind._make = lambda self, setup: made(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    return kind


@pytest.mark.parametrize("leaves", ["times out", "is cancelled"])
async def test_who_asks_right_after_nobody_waited_any_more_gets_an_answer(leaves: str) -> None:
    async with client_of(fake=slow("one")) as client:
        runtime = await client.runtime()
        (instance,) = runtime.instances
        if leaves == "times out":
            with pytest.raises(UpstreamTimeout):
                await runtime.models.refresh(instance, 0.5)
        else:
            first = asyncio.create_task(runtime.models.refresh(instance))
            await asyncio.sleep(0.5)
            first.cancel()
            await asyncio.wait([first])
        models = await runtime.models.refresh(instance)
        assert [model.id for model in models] == ["m"]
        assert await runtime.models.refresh(instance)


async def test_an_instance_that_is_removed_while_it_is_asked_is_left_out() -> None:
    async with client_of(fake=slow("one", "two")) as client:
        runtime = await client.runtime()
        one, two = runtime.instances
        listing, checking = asyncio.create_task(client.models()), asyncio.create_task(client.health())
        refreshing = asyncio.create_task(outcome(runtime.models.refresh(one)))
        await asyncio.sleep(0.5)
        runtime.instances.drain(one)
        assert [model.instance for model in await listing] == [two.id]
        assert [state.instance for state in await checking] == [two]
        assert isinstance(await refreshing, Draining)


async def test_an_instance_that_was_removed_before_its_turn_is_left_out() -> None:
    async with client_of(fake=slow("one")) as client:
        runtime = await client.runtime()
        (one,) = runtime.instances
        listing, checking = asyncio.create_task(client.models()), asyncio.create_task(client.health())
        asyncio.get_running_loop().call_soon(runtime.instances.drain, one)
        assert await listing == []
        assert await checking == []
        assert isinstance(await outcome(runtime.models.refresh(one)), Draining)
        assert isinstance(await outcome(runtime.fleet.health.check(one)), Draining)
        assert isinstance(await outcome(runtime.fleet.connections.to(one)), Draining)


@pytest.mark.parametrize("said", [None, [1], 5, "text"], ids=repr)
async def test_a_list_that_is_none_is_a_typed_error(said: Any) -> None:
    """And not the claim that the client was closed."""
    async with client_of(fake=slow("one", said=lambda instance: said)) as client:
        error = await outcome(client.models())
        assert isinstance(error, InternalError)
        assert "Provider fake" in error.message


async def test_an_instance_may_come_while_others_are_asked() -> None:
    async with client_of(fake=slow("one")) as client:
        runtime = await client.runtime()
        listing = asyncio.create_task(client.models())
        await asyncio.sleep(0.5)
        runtime.instances.add(Instance("more", "fake", "fake", "http://more.invalid"))
        assert [model.instance for model in await listing] == ["one"]
        assert sorted(model.instance for model in await client.models()) == ["more", "one"]


@pytest.mark.parametrize("ask", ["models", "health"])
async def test_a_client_may_close_while_it_asks(ask: str) -> None:
    client = client_of(fake=slow("one"))
    await client.runtime()
    asking = asyncio.create_task(outcome(getattr(client, ask)()))
    await asyncio.sleep(0.5)
    await client.aclose()
    ended = await asking
    assert isinstance(ended, list | LocalAgentError)


# Connections ----------------------------------------------------------------------------------------------------------


class Line:
    """A transport that only knows whether it is closed."""

    closed = False

    async def send(self, *_: Any) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True


def slow_transports(made: list[Line]) -> type[Plugin]:
    class Connects(Plugin):
        name = "connect-slow"

        @hookimpl
        async def connect(self, instance: Instance) -> Line:
            await asyncio.sleep(1.0)
            made.append(Line())
            return made[-1]

    return Connects


async def test_the_connection_to_an_instance_that_is_removed_meanwhile_is_closed() -> None:
    made: list[Line] = []
    async with client_of(slow_transports(made)) as client:
        runtime = await client.runtime()
        (one,) = runtime.instances
        connecting = asyncio.create_task(outcome(runtime.fleet.connections.to(one)))
        await asyncio.sleep(0.5)
        runtime.instances.drain(one)
        assert isinstance(await connecting, Draining)
        assert [line.closed for line in made] == [True]


async def test_a_connection_that_is_made_while_the_client_closes_is_closed() -> None:
    made: list[Line] = []
    client = client_of(slow_transports(made))
    call = asyncio.create_task(outcome(client.chat("Hi.")))
    await asyncio.sleep(0.5)
    await client.aclose()
    assert isinstance(await call, Draining)
    assert [line.closed for line in made] == [True]


async def test_background_work_may_still_ask_for_models_while_the_client_closes() -> None:
    """It has a time to end, and what it needs is not closed before."""
    heard: list[object] = []

    class Asks(Plugin):
        name = "guard-asks"

        @hookimpl
        async def pre_request(self) -> None:
            self.core.spawn(self._ask(), "questions")

        async def _ask(self) -> None:
            await asyncio.sleep(1.0)
            (instance,) = self.core.instances
            heard.append(await self.core.models.refresh(instance))

    client = client_of(Asks, fake=slow("one"))
    await client.chat("Hi.")
    await client.aclose()
    assert heard == [[ModelInfo("m", instance="one")]]
