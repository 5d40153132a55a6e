"""The configured providers of a client: created when it opens, closed when it closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from localagent.errors import SettingsError
from localagent.instances.configured_provider import ConfiguredProvider
from localagent.instances.offered_types import provider_types, shared_servers, with_defaults
from localagent.plugin_api.discovery import find_plugins
from localagent.plugin_api.installing import missing_type
from localagent.plugin_api.providers import Provider, ProviderSetup, ProviderType
from localagent.structuring.secrets import MissingKeys, SecretMissing, left_out, missing_keys

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Pipeline
    from localagent.plugin_api.core import Core
    from localagent.records.instances import Instance, Instances
    from localagent.settings.model import Settings
    from localagent.settings.provider import ProviderSettings

log = logging.getLogger("localagent")


class Registry:
    """The providers of one client.

    Args:
        instances: The table of instances, which the providers fill.

    Attributes:
        instances: The table of instances.
        types: The provider types by name, each with the plugin that brings it.
        providers: The available providers, by name.
        missing: The providers with missing keys, by name; those that are left out are not available.
        default_model: The model for requests that name none.
    """

    def __init__(self, instances: Instances) -> None:
        self.types: dict[str, tuple[ProviderType, str]] = {}
        self.providers: dict[str, ConfiguredProvider] = {}
        self.missing: dict[str, MissingKeys] = {}
        self.default_model: str | None = None
        self.instances = instances

    def fill(
        self, given: Settings, pipeline: Pipeline, environment: Mapping[str, str], core_for: Callable[[str], Core]
    ) -> None:
        """Create all providers of the settings, and those that are detected; one without its keys is left out.

        Args:
            given: The settings.
            pipeline: The plugins' steps.
            environment: The environment variables, for secrets that the settings name.
            core_for: Takes the name of a plugin; returns its ``Core``.

        Raises:
            SettingsError: A provider's settings are invalid, or no active plugin brings its type.
            PluginError: A provider type failed.
        """
        self.types = provider_types(pipeline)
        settings = with_defaults(given, self.types, environment)
        for name, common in settings.providers.items():
            kind, plugin = self._type_of(name, common)
            setup = ProviderSetup(
                name=name,
                type=common.type,
                settings=settings.for_provider(name, kind.settings),
                common=common,
                environment=environment,
                core=core_for(plugin),
                shared=shared_servers(environment).get(name, ""),
                error_rules=kind.error_rules,
            )
            self._add(kind, setup, "named in the settings" if name in given.providers else "detected automatically")
        self.default_model = settings.default_model or self._some_default()

    def _type_of(self, name: str, common: ProviderSettings) -> tuple[ProviderType, str]:
        if common.type not in self.types:
            hint = missing_type(common.type, self.types, find_plugins())
            raise SettingsError(f"Provider {name} is of type {common.type}, which no active plugin brings.", hint=hint)
        return self.types[common.type]

    def _add(self, kind: ProviderType, setup: ProviderSetup, why: str) -> None:
        provider = self._made(kind, setup)
        if provider is None:
            return
        self.providers[setup.name] = ConfiguredProvider(setup.name, kind, provider, setup.common, why)
        for instance in provider.instances:
            try:
                self.instances.add(instance)
            except ValueError as error:
                hint = "Give one of the instances another name."
                raise SettingsError(f"Provider {setup.name}: {error}.", hint=hint) from None

    def _made(self, kind: ProviderType, setup: ProviderSetup) -> Provider | None:
        """Create a provider; return None if it is not available because its keys are missing."""
        missing = missing_keys(setup.name, setup.common, setup.environment)
        try:
            provider = None if missing is not None and missing.left_out else kind.make(setup)
        except SecretMissing as error:  # a key of the type's own settings
            provider, missing = None, left_out(setup.name, [error])
        if missing is not None:
            self.missing[setup.name] = missing
            log.info("%s", missing.error)
        return provider

    def _some_default(self) -> str | None:
        models = ((name, one.provider.default_model) for name, one in self.providers.items())
        return next((f"{name}/{model}" for name, model in models if model is not None), None)

    def provider_of(self, instance: Instance) -> ConfiguredProvider:
        """Return the configured provider of an instance."""
        return self.providers[instance.provider]

    def is_left_out(self, name: str) -> bool:
        """Return whether a provider is not available because its keys are missing."""
        return name in self.missing and self.missing[name].left_out

    async def aclose(self) -> None:
        """Close all providers at the same time."""
        ends = await asyncio.gather(
            *(provider.aclose() for provider in self.providers.values()), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end
