"""Which profile holds for an instance."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Client, LocalAgentError
from localagent.records import PoolProfile
from localagent.settings import structure
from localagent_connect_aiohttp import AiohttpConnectPlugin, AiohttpConnectSettings, AiohttpTransport
from localagent_testing import fake_provider_plugin

NOBODY_CHOSE = PoolProfile(chosen=frozenset())
OF_ITS_TYPE = PoolProfile(10, 60.0, chosen=frozenset())


def settings(**profiles: Any) -> AiohttpConnectSettings:
    return structure(AiohttpConnectSettings, {"profiles": profiles}, where="test")


def test_without_a_profile_the_instances_own_holds() -> None:
    """What the provider's type brings, or the core's default."""
    assert settings().profile("mine", "any", OF_ITS_TYPE) == PoolProfile(10, 60.0)
    assert settings().profile("mine", "any", NOBODY_CHOSE) == PoolProfile(100, 4.0)


def test_the_providers_name_comes_before_its_type() -> None:
    """Two providers of one type may have profiles of their own."""
    own = settings(fast={"limit": 200}, openai={"limit": 80})
    assert own.profile("fast", "openai", NOBODY_CHOSE).limit == 200
    assert own.profile("slow", "openai", NOBODY_CHOSE).limit == 80


def test_what_a_profile_leaves_out_stays() -> None:
    """A limit of one's own does not lose the keep-alive of the type."""
    assert settings(ollama={"limit": 4}).profile("ollama", "ollama", OF_ITS_TYPE) == PoolProfile(4, 60.0)


def test_by_default_nothing_is_opened_that_no_request_needs() -> None:
    """No connection ahead, and no limit beside those of the instances."""
    defaults = AiohttpConnectSettings()
    assert (defaults.limit, defaults.warm, defaults.spare) == (None, 0, 0)


async def test_what_the_provider_itself_says_wins_field_by_field() -> None:
    """``pool`` of a provider in the settings is more particular than any profile."""
    fake = fake_provider_plugin(["answer"])
    given = {
        "providers": {"fake": {"pool": {"limit": 3}}},
        "plugins": {"connect-aiohttp": {"profiles": {"fake": {"limit": 9, "keepalive": "50 s"}}}},
    }
    async with Client(given, plugins=[fake, AiohttpConnectPlugin], environment={}) as client:
        runtime = await client.runtime()
        for instance in runtime.instances:
            transport = await runtime.fleet.connections.to(instance)
            assert isinstance(transport, AiohttpTransport)
            assert transport.profile == PoolProfile(3, 50.0)
            stats = runtime.instances.state(instance).pool
            assert stats is not None
            assert stats.limit == 3


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"warm": -1}, {"profiles": {"x": {"keep": 1}}}, {"connect": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """At the start, with the place."""
    with pytest.raises(LocalAgentError, match="plugins"):
        structure(AiohttpConnectSettings, wrong, where="[plugins.connect-aiohttp]")
