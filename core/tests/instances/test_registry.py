"""Providers as they are configured, and the way from a model's name to its targets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import Client, LocalAgentError, Plugin, Principal, ProviderType, hookimpl
from localagent.errors import ModelNotFound, NotAllowed, PluginError, SettingsError
from localagent.instances.fleet import Fleet
from localagent.plugin_api import PROVIDER, find_plugins
from localagent.plugin_api.installing import missing_role
from localagent.plugin_api.plugin import NoSettings
from localagent.records import NOBODY, PoolProfile
from localagent_testing import WirePlugin, fake_provider_plugin

TWO = fake_provider_plugin({"a": [], "b": []}, models=("m", "n"))


@asynccontextmanager
async def registry(
    *plugins: type[Plugin], environment: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[Fleet]:
    settings = {"health": {"enabled": False}, **settings}
    async with Client(settings, plugins=plugins or [TWO], environment=environment or {}) as client:
        yield (await client.runtime()).fleet


def named(fleet: Fleet, model: str, principal: Principal = NOBODY) -> list[tuple[str, str, int]]:
    return [(target.name, target.instance.id, target.place) for target in fleet.names.targets(model, principal)]


# Names ----------------------------------------------------------------------------------------------------------------


async def test_a_name_is_a_provider_and_what_it_calls_the_model() -> None:
    """Split at the first slash; every instance of the provider is a target, in their order."""
    async with registry() as fleet:
        assert named(fleet, "fake/org/x:7b") == [("fake/org/x:7b", "a", 0), ("fake/org/x:7b", "b", 0)]


async def test_an_alias_is_its_models_in_order() -> None:
    """Each with the place that it has there."""
    async with registry(models={"fast": ["fake/x", "fake/y"]}) as fleet:
        assert named(fleet, "fast") == [
            ("fake/x", "a", 0), ("fake/x", "b", 0), ("fake/y", "a", 1), ("fake/y", "b", 1)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "fake/m"),
        ({"default_model": "fake/n"}, "fake/n"),
        ({"default_model": "fast", "models": {"fast": ["fake/x"]}}, "fake/x"),
    ],
    ids=["the provider's own", "a model", "an alias"],
)
async def test_without_a_name_the_default_answers(settings: dict[str, Any], expected: str) -> None:
    """That of the settings, or else that of the first provider that has one."""
    async with registry(**settings) as fleet:
        assert named(fleet, "")[0][0] == expected


async def test_what_nobody_knows_is_refused_with_the_nearest_name() -> None:
    """And with what there is, where nothing is near."""
    async with registry(models={"fast": ["fake/x"]}) as fleet:
        for model, hint in (
            ("fsat", "Did you mean fast?"),
            ("fakee/x", "Did you mean fake/x?"),
            ("zzz/x", "Write a model as PROVIDER/NAME; providers are: fake. See: localagent models"),
        ):
            with pytest.raises(ModelNotFound) as caught:
                fleet.names.targets(model, NOBODY)
            assert caught.value.hint == hint


async def test_without_any_provider_nothing_can_be_asked() -> None:
    """The error says how to install one, or to name one that is installed."""
    nothing = type("Nothing", (Plugin,), {"name": "request-nothing"})
    async with registry(nothing) as fleet:
        with pytest.raises(ModelNotFound, match="no default") as caught:
            fleet.names.targets("", NOBODY)
        assert caught.value.hint == missing_role(PROVIDER, find_plugins())


async def test_without_a_configured_provider_the_types_are_named() -> None:
    """A provider type is there, and nothing says where its servers are."""
    async with registry(WirePlugin) as fleet:
        with pytest.raises(ModelNotFound, match="no default") as caught:
            fleet.names.targets("", NOBODY)
        assert caught.value.hint == "Add a table [providers.NAME] to the settings, with a type: wire."


async def test_a_tenant_may_use_what_it_is_granted() -> None:
    """By the name that is asked for: an alias grants its models, a model grants no alias."""
    async with registry(models={"fast": ["fake/x"]}, default_model="fake/m") as fleet:
        granted = Principal("t", frozenset({"fast", "fake/m"}))
        assert named(fleet, "fast", granted)[0][0] == "fake/x"
        assert named(fleet, "", granted)[0][0] == "fake/m"
        for model in ("fake/x", "fake/y"):
            with pytest.raises(NotAllowed):
                fleet.names.targets(model, granted)


async def test_targets_follow_the_instances() -> None:
    """What comes and goes is there and gone with the next call."""
    async with registry() as fleet:
        instances = fleet.instances
        first, second = instances
        instances.drain(first)
        assert named(fleet, "fake/m") == [("fake/m", "b", 0)]
        instances.drain(second)
        with pytest.raises(ModelNotFound, match="No instance serves fake/m now"):
            fleet.names.targets("fake/m", NOBODY)
        instances.add(first)
        assert named(fleet, "fake/m") == [("fake/m", "a", 0)]


# Providers ------------------------------------------------------------------------------------------------------------


class Typed(Plugin):
    """Brings the type ``typed``, which is there by default when a key is in the environment."""

    name = "provider-typed"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        fake = fake_provider_plugin()
        made = fake()

        def default(environment: Any) -> dict[str, Any] | None:
            return {"weight": 1} if environment.get("BAD") else {} if environment.get("KEY") else None

        return [ProviderType("typed", NoSettings, made._make, default)]


async def test_a_provider_may_be_found_in_the_environment() -> None:
    """Unless one of its type is configured already."""
    async with registry(Typed, environment={"KEY": "x"}) as fleet:
        assert {name: one.why for name, one in fleet.registry.providers.items()} == {"typed": "detected automatically"}
    async with registry(Typed) as fleet:
        assert fleet.registry.providers == {}
    async with registry(Typed, environment={"KEY": "x"}, providers={"mine": {"type": "typed"}}) as fleet:
        assert {name: one.why for name, one in fleet.registry.providers.items()} == {"mine": "named in the settings"}


async def refused(*plugins: type[Plugin], **settings: Any) -> LocalAgentError:
    with pytest.raises(LocalAgentError) as caught:
        async with registry(*plugins, **settings):
            pass
    return caught.value


async def test_a_type_whose_pool_cannot_be_named_is_refused() -> None:
    """The type is named, and the class of what it raised."""

    def raising(addresses: Sequence[str]) -> PoolProfile:
        raise KeyError(addresses)

    kind = type("Odd", (Plugin,), {"name": "provider-odd", "provide": hookimpl(_providing(raising))})
    error = await refused(kind, providers={"odd": {}})
    assert (type(error), error.message) == (PluginError, "Provider type odd failed to name its pool: KeyError.")


def _providing(pool: Callable[[Sequence[str]], PoolProfile]) -> Any:
    def provide(self: Any) -> Sequence[ProviderType]:
        return [ProviderType("odd", NoSettings, lambda setup: None, pool=pool)]  # type: ignore[arg-type,return-value]

    return provide


async def test_a_type_that_no_plugin_brings_is_refused() -> None:
    """With what to do about it."""
    error = await refused(TWO, providers={"mine": {"type": "unheard-of"}})
    assert isinstance(error, SettingsError)
    assert "Provider mine is of type unheard-of" in error.message
    assert error.hint == 'Write type = "NAME", one of: fake.'


async def test_settings_that_the_type_does_not_know_are_refused() -> None:
    """Also those that a default brings."""
    error = await refused(TWO, providers={"fake": {"wieght": 2}})
    assert isinstance(error, SettingsError)
    assert "wieght" in error.message
    assert isinstance(await refused(Typed, environment={"BAD": "x"}), SettingsError)


async def test_two_plugins_cannot_bring_one_type() -> None:
    """Both are named."""
    other = type("Other", (TWO,), {"name": "provider-other", "provide": _provide_fake})
    error = await refused(TWO, other)
    assert isinstance(error, PluginError)
    assert "provider-fake and provider-other both bring the provider type fake" in error.message


@hookimpl
def _provide_fake(self: Any) -> Sequence[ProviderType]:
    return [ProviderType("fake", NoSettings, self._make)]


async def test_instances_of_two_providers_cannot_share_an_id() -> None:
    """The id names them in metrics and errors, so it is a mistake of the settings, said as one."""
    error = await refused(TWO, providers={"one": {"type": "fake"}, "two": {"type": "fake"}})
    assert isinstance(error, SettingsError)


# Opening --------------------------------------------------------------------------------------------------------------


@pytest.mark.virtual
async def test_a_provider_is_opened_once_when_it_is_first_needed() -> None:
    """Anyone who comes meanwhile waits for the same opening; a failure is not remembered."""
    openings: list[float] = []

    async def opens() -> None:
        openings.append(asyncio.get_running_loop().time())
        await asyncio.sleep(2.0)
        if len(openings) == 1:
            raise OSError("not yet")

    async with registry() as fleet:
        source = fleet.registry.providers["fake"]
        source.provider.open = opens  # type: ignore[method-assign]
        failed = await asyncio.gather(source.open(), source.open(), return_exceptions=True)
        assert [type(error) for error in failed] == [OSError, OSError]
        await asyncio.gather(source.open(), source.open())
        await source.open()
        assert (len(openings), source.opened) == (2, True)


@pytest.mark.virtual
async def test_who_stops_waiting_does_not_stop_the_opening() -> None:
    """The others go on waiting for it."""

    async def opens() -> None:
        await asyncio.sleep(2.0)

    async with registry() as fleet:
        source = fleet.registry.providers["fake"]
        source.provider.open = opens  # type: ignore[method-assign]
        first, second = asyncio.ensure_future(source.open()), asyncio.ensure_future(source.open())
        await asyncio.sleep(1.0)
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert (first.cancelled(), source.opened) == (True, True)


@pytest.mark.virtual
async def test_an_opening_under_way_ends_with_the_client() -> None:
    """Nothing is left waiting."""

    async def opens() -> None:
        await asyncio.sleep(2000.0)

    begun = asyncio.get_running_loop().time()
    async with registry() as fleet:
        source = fleet.registry.providers["fake"]
        source.provider.open = opens  # type: ignore[method-assign]
        task = asyncio.ensure_future(source.open())
        await asyncio.sleep(1.0)
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.get_running_loop().time() - begun < 100.0
