"""A client that takes another's place: what of its plugins lives on, and who closes it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import attrs
import pytest

from localagent import Call, Client, Plugin, Target, hookimpl
from localagent.errors import PluginError
from localagent_testing import fake_provider_plugin

CALM: dict[str, Any] = {"health": {"enabled": False}}


@attrs.frozen
class CounterSettings:
    """What the counter learns."""

    step: int = 1


class Counter(Plugin):
    """Counts calls, and notes what becomes of itself."""

    name = "counter"
    settings_class = CounterSettings
    settings: CounterSettings
    survives_reload = True
    made: ClassVar[list[Counter]] = []

    async def __aenter__(self) -> Self:
        self.made.append(self)
        self.calls = 0
        self.closed = 0
        self.state = self.core.state  # kept, as plugins on the path of a request do
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    @hookimpl
    def select_instance(self, call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | None:
        """Count, and look at every candidate."""
        self.calls += self.settings.step
        for target in candidates:
            self.state(target.instance)
        return None


class Still(Counter):
    """The same, and does not move."""

    survives_reload = False


class Broken(Plugin):
    """Does not start."""

    name = "last"

    async def __aenter__(self) -> Self:
        raise OSError("no")


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    Counter.made.clear()


def client(*plugins: type[Plugin], replaces: Client | None = None, **settings: Any) -> Client:
    chosen = [fake_provider_plugin(), *plugins]
    return Client({**CALM, **settings}, plugins=chosen, environment={}, seed=1, replaces=replaces)


async def test_an_unchanged_plugin_lives_on() -> None:
    """It is not made again, keeps what it has counted, and is closed once, by the last client."""
    first = client(Counter)
    await first.chat("Hello.")
    async with client(Counter, replaces=first) as second:
        await second.chat("Hello.")
        await first.aclose()
        await second.chat("Hello.")
        (counter,) = Counter.made
        assert (counter.calls, counter.closed) == (3, 0)
    assert counter.closed == 1


async def test_whichever_client_closes_first() -> None:
    """The one that was replaced may stay longer, too."""
    async with client(Counter) as first:
        async with client(Counter, replaces=first):
            pass
        await first.chat("Hello.")
        (counter,) = Counter.made
        assert (counter.calls, counter.closed) == (1, 0)
    assert counter.closed == 1


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(Counter, {"plugins": {"counter": {"step": 2}}}), (Counter, {"state_folder": Path("other")}), (Still, {})],
    ids=["its settings changed", "the state folder changed", "it does not move"],
)
async def test_any_other_plugin_is_made_anew(kind: type[Counter], settings: dict[str, Any]) -> None:
    """The old one is closed with its client, the new one begins with nothing."""
    async with client(kind) as first:
        await first.chat("Hello.")
        async with client(kind, replaces=first, **settings):
            old, new = Counter.made
            await first.aclose()
            assert (old.calls, old.closed, new.calls, new.closed) == (1, 1, 0, 0)


async def test_another_class_of_the_same_name_is_another_plugin() -> None:
    """Names are not enough: the class is the version."""

    class Newer(Counter):
        """Another version."""

    async with client(Counter) as first, client(Newer, replaces=first):
        assert [type(one) for one in Counter.made] == [Counter, Newer]


async def test_both_clients_are_served_at_a_time() -> None:
    """A plugin that was moved still sees the instances of calls that the old client has under way."""
    async with client(Counter) as first, client(Counter, replaces=first) as second:
        await asyncio.gather(first.chat("Hello."), second.chat("Hello."))
        (counter,) = Counter.made
        (old,), (new,) = (await first.runtime()).instances, (await second.runtime()).instances
        assert (counter.core.state(old).attempts, counter.core.state(new).attempts) == (1, 1)
        with pytest.raises(KeyError):
            counter.core.state(object())  # type: ignore[arg-type]


async def test_a_client_that_does_not_open_leaves_all_as_it_was() -> None:
    """The plugin is neither closed nor pointed to the client that failed."""
    async with client(Counter) as first:
        with pytest.raises(PluginError, match="last could not start"):
            await client(Counter, Broken, replaces=first).runtime()
        await first.chat("Hello.")
        (counter,) = Counter.made
        assert (counter.calls, counter.closed) == (1, 0)
        assert counter.core.instances is (await first.runtime()).instances


async def test_what_a_plugin_spawned_goes_on() -> None:
    """The client that closes neither waits for it nor cancels it; the next one does."""
    go = asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        await go.wait()
        ended.append("well")

    first = client(Counter)
    await first.runtime()
    (counter,) = Counter.made
    counter.core.spawn(work(), "work")
    async with client(Counter, replaces=first):
        await first.aclose()
        assert ended == []
        go.set()
    assert ended == ["well"]


async def test_a_client_that_is_closed_hands_nothing_on() -> None:
    """Its plugins are closed; new ones are made."""
    first = client(Counter)
    await first.runtime()
    await first.aclose()
    async with client(Counter, replaces=first):
        assert [one.closed for one in Counter.made] == [1, 0]


async def test_a_plugin_is_told_how_many_processes_there_are() -> None:
    """1 in a program; elsewhere the number that a server of several processes gives."""
    async with client(Counter):
        pass
    chosen = [fake_provider_plugin(), Counter]
    async with Client(CALM, plugins=chosen, environment={"LOCALAGENT_PROCESSES": "4"}):
        pass
    assert [one.core.processes for one in Counter.made] == [1, 4]
