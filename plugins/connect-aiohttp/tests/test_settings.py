"""Which profile holds for an instance."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Client, LocalAgentError, PoolProfile
from localagent.settings.structuring import structure
from localagent_connect_aiohttp import AiohttpConnectPlugin, AiohttpConnectSettings, PoolTransport
from localagent_testing import fake_provider_plugin

NOBODY_CHOSE = PoolProfile(chosen=frozenset())


def settings(**profiles: Any) -> AiohttpConnectSettings:
    return structure(AiohttpConnectSettings, {"profiles": profiles}, where="test")


@pytest.mark.parametrize(
    ("kind", "limit", "keepalive"),
    [("ollama", 10, 60.0), ("openai", 50, 4.0), ("gemini", 20, 45.0), ("perplexity", 15, 30.0), ("other", 100, 4.0)],
)
def test_each_provider_has_the_profile_of_its_type(kind: str, limit: int, keepalive: float) -> None:
    """The roadmap's table; the core's own profile for types that nobody knows.

    The type openai is many servers, some of which close after 5 s; what is known of OpenAI's own holds by its name.
    """
    assert settings().profile("mine", kind, NOBODY_CHOSE) == PoolProfile(limit, keepalive)


def test_the_providers_name_comes_before_its_type() -> None:
    """Perplexity speaks the protocol of the type openai, and is found by its name."""
    assert settings().profile("perplexity", "openai", NOBODY_CHOSE) == PoolProfile(15, 30.0)
    assert settings().profile("openai", "openai", NOBODY_CHOSE) == PoolProfile(50, 30.0)
    own = settings(fast={"limit": 200}, openai={"limit": 80})
    assert own.profile("fast", "openai", NOBODY_CHOSE).limit == 200
    assert own.profile("slow", "openai", NOBODY_CHOSE).limit == 80


def test_what_a_profile_leaves_out_stays() -> None:
    """A limit of one's own does not lose the keep-alive of the type."""
    assert settings(ollama={"limit": 4}).profile("ollama", "ollama", NOBODY_CHOSE) == PoolProfile(4, 60.0)


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
            transport = await runtime.connect(instance)
            assert isinstance(transport, PoolTransport)
            assert transport.profile == PoolProfile(3, 50.0)
            stats = runtime.state(instance).pool
            assert stats is not None
            assert stats.limit == 3


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"warm": -1}, {"profiles": {"x": {"keep": 1}}}, {"connect": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """At the start, with the place."""
    with pytest.raises(LocalAgentError, match="plugins"):
        structure(AiohttpConnectSettings, wrong, where="[plugins.connect-aiohttp]")
