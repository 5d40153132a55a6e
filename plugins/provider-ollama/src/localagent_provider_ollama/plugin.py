"""The provider type ``ollama``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from localagent import Plugin, Provider, ProviderSetup, ProviderType, hookimpl
from localagent.records import PoolProfile
from localagent.settings import read_address, wrong_variable
from localagent_provider_ollama.error_rules import RULES
from localagent_provider_ollama.host import DEFAULT_URL, VARIABLE, host_url
from localagent_provider_ollama.settings import OllamaSettings

POOL = PoolProfile(limit=10, keepalive=60.0)
"""A server answers a few requests at a time and queues the others; it does not close idle connections by itself."""


class OllamaPlugin(Plugin):
    """Provides the provider type ``ollama``."""

    name = "provider-ollama"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        """Return the provider type."""
        return [
            ProviderType(
                name="ollama",
                settings=OllamaSettings,
                make=make,
                default=from_environment,
                pool=lambda addresses: POOL,
                error_rules=RULES,
            )
        ]


def make(setup: ProviderSetup) -> Provider:
    """Create a provider with an instance for every combination of an address and a key."""
    from localagent_provider_ollama.provider import OllamaProvider

    return OllamaProvider(setup, *setup.instances(DEFAULT_URL))


def from_environment(environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the settings of a provider for the server in ``OLLAMA_HOST``; without it no address is tried.

    Raises:
        SettingsError: The value is not an address.
    """
    value = environment.get(VARIABLE, "").strip()
    if not value:
        return None
    try:
        return {"instances": [read_address(host_url(value))]}
    except ValueError:
        raise wrong_variable(VARIABLE, value, 'the address of a server, such as "10.0.0.5:11434"') from None
