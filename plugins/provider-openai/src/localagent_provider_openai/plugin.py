"""The provider type ``openai``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs

from localagent import Instance, ModelInfo, OpenAICompatible, Plugin, Provider, ProviderSetup, ProviderType, hookimpl
from localagent.records import PoolProfile
from localagent_provider_openai.error_rules import RULES
from localagent_provider_openai.model_rows import model_info

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
OPENAI_POOL = PoolProfile(limit=50, keepalive=30.0)
"""For OpenAI's own servers, which keep an idle connection for at least 30 s. Source: the project's roadmap. Many other
servers with this API, such as vLLM, close it after 5 s; the core's default is made for them."""


@attrs.frozen
class OpenAISettings:
    """``[providers.NAME]`` of type ``openai``, beyond what every provider has.

    Attributes:
        organization: Sent as the header ``OpenAI-Organization``.
        project: Sent as the header ``OpenAI-Project``.
    """

    organization: str | None = None
    project: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers for these settings."""
        named = {"OpenAI-Organization": self.organization, "OpenAI-Project": self.project}
        return {name: value for name, value in named.items() if value}


class OpenAIPlugin(Plugin):
    """Provides the provider type ``openai``."""

    name = "provider-openai"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        """Return the provider type."""
        return [
            ProviderType(
                name="openai",
                settings=OpenAISettings,
                make=make,
                default=from_environment,
                pool=pool,
                error_rules=RULES,
            )
        ]


class OpenAIProvider(OpenAICompatible):
    """Reads more than names from the model lists of many servers."""

    def model_info(self, row: Mapping[str, Any], instance: Instance) -> ModelInfo:
        """Return the model that a row describes."""
        return model_info(row, instance)


def make(setup: ProviderSetup) -> Provider:
    """Create a provider with an instance for every combination of an address and a key."""
    return OpenAIProvider(setup, *setup.instances(OPENAI_URL, extra_headers=setup.settings.headers()))


def from_environment(environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the settings of a provider for OpenAI if its key is in the environment."""
    return {"keys": [{"env": KEY_VARIABLE}]} if environment.get(KEY_VARIABLE, "").strip() else None


def pool(addresses: Sequence[str]) -> PoolProfile:
    """Return the pool profile for these addresses: the default one, unless all of them are OpenAI's own.

    Args:
        addresses: The provider's base addresses; empty means OpenAI's.
    """
    own = all(urlsplit(address).hostname == urlsplit(OPENAI_URL).hostname for address in addresses)
    return OPENAI_POOL if own else PoolProfile()
