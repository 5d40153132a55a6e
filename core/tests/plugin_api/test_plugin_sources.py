"""A plugin is given as a class, a factory or an object, and whatever else is given is refused in one sentence."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs
import pytest

from localagent import Client, Plugin
from localagent.errors import PluginError, SettingsError
from localagent.plugin_api import as_loaded
from localagent.plugin_api.discovery import make_plugin
from localagent.plugin_api.handle import Handle
from localagent.plugin_api.plugin import PluginSource
from localagent_testing import FakeCore, fake_provider_plugin

if TYPE_CHECKING:
    from decimal import Decimal as ForTypeCheckersOnly


@attrs.frozen
class MySettings:
    limit: int = 3


class Mine(Plugin):
    """Knows how it was made, and how often it was entered and left."""

    name = "rate-mine"
    settings_class = MySettings

    def __init__(self, settings: MySettings | None = None, word: str = "class") -> None:
        super().__init__(settings)
        self.word = word
        self.entered = 0
        self.left = 0

    @classmethod
    def made(cls, settings: MySettings) -> Self:
        return cls(settings, "class method")

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left += 1


class Moving(Mine):
    survives_reload = True


class Maker:
    """A callable object, and one with a method that makes plugins."""

    def __call__(self, settings: MySettings) -> Mine:
        return Mine(settings, "callable")

    def method(self, settings: ForTypeCheckersOnly) -> Mine:
        return Mine(settings, "method")  # type: ignore[arg-type]


def closing_over(word: str) -> Callable[[MySettings], Mine]:
    def make(settings: MySettings) -> Mine:
        return Mine(settings, word)

    return make


def of_a_local_class() -> Callable[[MySettings], Mine]:
    class Local(Mine):
        pass

    def make(settings: MySettings) -> Local:
        return Local(settings, "local class")

    return make


def client(*sources: PluginSource, replaces: Client | None = None, **settings: Any) -> Client:
    settings = {"health": {"enabled": False}, **settings}
    return Client(settings, plugins=[fake_provider_plugin(), *sources], environment={}, replaces=replaces)


async def plugin_of(client: Client) -> Mine:
    plugin = (await client.runtime()).pipeline.plugins["rate-mine"]
    assert isinstance(plugin, Mine)
    return plugin


FAMILY: dict[str, PluginSource] = {
    "class": Mine,
    "class method": Mine.made,
    "partial": functools.partial(Mine, word="partial"),
    "partial of a function": functools.partial(closing_over("partial of a function")),
    "closure": closing_over("closure"),
    "callable": Maker(),
    "method": Maker().method,
    "local class": of_a_local_class(),
}


@pytest.mark.parametrize("word", FAMILY)
async def test_what_is_called_gets_its_filled_settings(word: str) -> None:
    """Each form is called once a client, with ``[plugins.NAME]`` read by the settings class."""
    async with client(FAMILY[word], plugins={"rate-mine": {"limit": 7}}) as first, client(FAMILY[word]) as second:
        made, other = await plugin_of(first), await plugin_of(second)
        assert (made.word, made.settings, made.entered, made.name) == (word, MySettings(7), 1, "rate-mine")
        assert (other.settings, other.entered) == (MySettings(3), 1)
        assert other is not made
    assert (made.left, other.left) == (1, 1)


async def test_an_object_is_taken_as_it_is() -> None:
    """With its own settings and its own state."""
    mine = Mine(MySettings(5), "object")
    async with client(mine) as one:
        assert await plugin_of(one) is mine
        assert (mine.settings, mine.entered, mine.left) == (MySettings(5), 1, 0)
    assert mine.left == 1


async def test_two_objects_of_one_class_have_names_of_their_own() -> None:
    """A name on the object counts, not the one of its class."""
    first, second = Mine(), Mine()
    second.name = "rate-other"
    async with client(first, second) as one:
        plugins = (await one.runtime()).pipeline.plugins
        assert (plugins["rate-mine"], plugins["rate-other"]) == (first, second)


async def test_the_table_of_an_object_may_say_the_same() -> None:
    """So that one settings file serves a program that makes the plugin itself."""
    async with client(Mine(MySettings(7)), plugins={"rate-mine": {"limit": 7}}):
        pass


async def test_the_table_of_an_object_that_says_something_else_is_refused() -> None:
    """It would be without effect; the sentence says what to do."""
    with pytest.raises(SettingsError) as caught:
        await client(Mine(MySettings(7)), plugins={"rate-mine": {"limit": 8}}).runtime()
    assert str(caught.value) == (
        "settings: plugins.rate-mine differs from the settings of the plugin object that was passed. "
        "Remove this table, or pass the plugin's class, which is created with it."
    )


@pytest.mark.parametrize("settings", [None, MySettings(9)], ids=["the defaults", "its own"])
async def test_the_test_kit_takes_every_form(settings: MySettings | None) -> None:
    """``FakeCore.plugged`` makes plugins as the core does."""
    async with FakeCore() as core:
        for source in FAMILY.values():
            async with core.plugged(source, settings) as plugged:
                assert plugged.plugin.settings == settings or MySettings()
        mine = Mine()
        async with core.plugged(mine) as plugged:
            assert plugged.plugin is mine


# One client at a time -------------------------------------------------------------------------------------------------


async def test_an_object_that_is_open_is_refused_elsewhere() -> None:
    """It has one life; the other client stays as it was, and the object is free when it has closed."""
    mine = Mine()
    async with client(mine) as first:
        core = mine.core
        with pytest.raises(PluginError) as caught:
            await client(mine).runtime()
        assert caught.value.message == "Plugin rate-mine was given as an object, and another client has it open."
        assert caught.value.hint
        assert (mine.entered, mine.left, mine.core) == (1, 0, core)
        await first.chat("Hello.")
    async with client(mine) as second:
        await second.chat("Hello.")
    assert (mine.entered, mine.left) == (2, 2)


async def test_an_object_is_not_free_before_it_has_been_left() -> None:
    """A client that is still closing has it open."""
    leaving, go = asyncio.Event(), asyncio.Event()

    class Slow(Mine):
        async def __aexit__(self, *error: object) -> None:
            leaving.set()
            await go.wait()

    mine = Slow()
    first = client(mine)
    await first.runtime()
    closing = asyncio.create_task(first.aclose())
    await leaving.wait()
    with pytest.raises(PluginError, match="another client has it open"):
        await client(mine).runtime()
    go.set()
    await closing
    async with client(mine):
        assert mine.entered == 2


async def test_an_object_that_could_not_be_entered_may_be_tried_again() -> None:
    """A client that did not open has nothing open."""

    class Late(Mine):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            if self.entered == 1:
                raise OSError("not yet")
            return self

    late = Late()
    with pytest.raises(PluginError, match="not yet"):
        await client(late).runtime()
    async with client(late):
        assert late.entered == 2


def test_an_object_is_free_when_the_event_loop_of_its_client_has_ended() -> None:
    """Nobody can close that client any more; it opens again on another loop."""
    mine = Mine()
    one = client(mine)

    async def use() -> None:
        await one.chat("Hello.")

    asyncio.run(use())
    asyncio.run(use())
    assert mine.entered == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_an_object_is_free_in_a_forked_child() -> None:
    """The client of the parent cannot be closed by the child."""
    mine = Mine()
    async with client(mine):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if is_free(mine) else 1
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert not is_free(mine)


def is_free(plugin: Plugin) -> bool:
    runtime: Any = SimpleNamespace(services=SimpleNamespace(clock=None))
    try:
        Handle.given_to(plugin, plugin.name, runtime)
    except PluginError:
        return False
    return True


async def test_an_object_that_moves_lives_on_in_the_client_that_replaces() -> None:
    """It is the same object there; the last of the two clients leaves it."""
    mine = Moving()
    async with client(mine) as first:
        async with client(mine, replaces=first) as second:
            await first.aclose()
            assert await plugin_of(second) is mine
            assert (mine.entered, mine.left) == (1, 0)
        assert mine.left == 1


async def test_an_object_in_a_client_that_replaces_and_one_beside() -> None:
    """Whichever of its two clients has closed, a third one is refused until both have."""
    mine = Moving()
    async with client(mine) as first, client(mine, replaces=first) as second:
        await second.aclose()
        with pytest.raises(PluginError, match="another client has it open"):
            await client(mine).runtime()
    async with client(mine):
        assert mine.entered == 2


@pytest.mark.parametrize(
    ("kind", "settings"), [(Mine, {}), (Moving, {"state_folder": "other"})], ids=["it does not move", "another folder"]
)
async def test_an_object_that_cannot_move_is_refused(kind: type[Mine], settings: dict[str, Any]) -> None:
    """A new one cannot be made of an object."""
    mine = kind()
    async with client(mine) as first:
        with pytest.raises(PluginError, match="another client has it open"):
            await client(mine, replaces=first, **settings).runtime()
        await first.chat("Hello.")
        assert (mine.entered, mine.left) == (1, 0)


async def test_a_plugin_of_a_factory_moves_when_the_factory_is_the_same() -> None:
    """What another one closes over may differ."""

    def factory(word: str) -> Callable[[MySettings], Moving]:
        def make(settings: MySettings) -> Moving:
            return Moving(settings, word)

        return make

    make = factory("first")
    async with client(make) as first, client(make, replaces=first) as second:
        assert await plugin_of(first) is await plugin_of(second)
        async with client(factory("third"), replaces=second) as third:
            assert (await plugin_of(third)).word == "third"


# Not a plugin ---------------------------------------------------------------------------------------------------------


def silent(settings: MySettings):  # type: ignore[no-untyped-def]
    return Mine(settings)


def unreadable(settings: MySettings) -> ForTypeCheckersOnly:
    raise NotImplementedError


def optional(settings: MySettings) -> Mine | None:
    return None


async def awaited(settings: MySettings) -> Mine:
    return Mine(settings)


WRONG: dict[str, tuple[object, str]] = {
    "text": ("cache-memory", "an object of the type str; expected a subclass of localagent.Plugin, a function that"),
    "a module": (json, "the module json; expected a subclass of localagent.Plugin, a function that returns one, or"),
    "a number": (3, "an object of the type int; expected a subclass"),
    "None": (None, "an object of the type NoneType; expected a subclass"),
    "another class": (dict, "the class dict, which is not a subclass of localagent.Plugin."),
    "a lambda": (lambda settings: Mine(settings, "lambda"), "does not say which plugin it returns; write: def make("),
    "no annotation": (silent, "the function silent (test_plugin_sources.py:"),
    "an annotation for type checkers": (unreadable, "which does not say which plugin it returns"),
    "an optional plugin": (optional, "which does not say which plugin it returns"),
    "a coroutine function": (awaited, "which does not say which plugin it returns"),
    "a built-in function": (len, "which does not say which plugin it returns"),
    "a partial of another class": (functools.partial(dict), "which does not say which plugin it returns"),
}


@pytest.mark.parametrize(("source", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_no_plugin_is_refused(source: Any, reason: str) -> None:
    """One sentence says which it is, what it is, and what was expected."""
    with pytest.raises(PluginError) as caught:
        as_loaded([Mine, source])
    assert caught.value.message.startswith("plugins[1] of the client is ")
    assert reason in caught.value.message


def test_text_is_told_where_names_belong() -> None:
    """Anyone who passes a name wants an installed plugin."""
    wrong: Any = "cache-memory"
    with pytest.raises(PluginError) as caught:
        as_loaded([wrong])
    assert caught.value.hint == 'Name installed plugins in the settings: {"use": ["NAME"]}'


def test_a_factory_that_returns_nothing_is_refused() -> None:
    """It is named with its file; so is one that returns another plugin than it says."""

    def none(settings: Any) -> Mine:
        return None  # type: ignore[return-value]

    def another(settings: Any) -> Mine:
        return Plugin()  # type: ignore[return-value]

    for factory, returned in ((none, "None"), (another, "Plugin")):
        (loaded,) = as_loaded([factory])
        with pytest.raises(PluginError) as caught:
            make_plugin(loaded, None)
        assert caught.value.message.startswith("Plugin rate-mine cannot be created: the function ")
        assert "(test_plugin_sources.py:" in caught.value.message
        assert caught.value.message.endswith(f" returned {returned}; expected Mine.")
        assert caught.value.hint


def test_a_factory_that_raises_is_named() -> None:
    """As a constructor that raises is."""

    def broken(settings: Any) -> Mine:
        raise OSError("no such device")

    (loaded,) = as_loaded([broken])
    with pytest.raises(PluginError, match=r"Plugin rate-mine cannot be created: OSError: no such device\."):
        make_plugin(loaded, None)


def test_a_plugin_needs_a_name_and_no_other_may_have_it() -> None:
    """Settings, order and errors speak of it by its name."""
    with pytest.raises(PluginError, match=r"plugins\[0\] of the client has no name\..*in Plugin"):
        as_loaded([Plugin])
    with pytest.raises(PluginError, match=r"plugins\[1\] of the client is the second one named rate-mine\."):
        as_loaded([Mine, Mine()])
