"""The provider types that plugins bring, and what they add to the settings: detected providers, pool profiles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs
import msgspec

from localagent.errors import LocalAgentError, PluginError
from localagent.plugin_api.providers import ProviderType
from localagent.structuring.place import wrong_variable

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Pipeline
    from localagent.settings.model import Settings

A = TypeVar("A")
T = TypeVar("T")

SHARED_VARIABLE = "LOCALAGENT_SHARED"
"""The environment variable in which a server of several processes passes shared addresses to each: a JSON object."""


def provider_types(pipeline: Pipeline) -> dict[str, tuple[ProviderType, str]]:
    """Collect the provider types of all plugins; return each by name, with the plugin that brings it.

    Raises:
        PluginError: A plugin failed, or two plugins bring a type of the same name.
    """
    types: dict[str, tuple[ProviderType, str]] = {}
    for step in pipeline.steps["provide"]:
        try:
            brought = step.check(step.call()) or ()
        except (Exception, asyncio.CancelledError) as error:  # the plugin's code: the client does not start
            raise PluginError(f"Plugin {step.plugin} failed in provide: {type(error).__name__}.") from error
        for kind in brought:
            if kind.name in types:
                other = types[kind.name][1]
                raise PluginError(f"The plugins {other} and {step.plugin} both bring the provider type {kind.name}.",
                                  hint="Choose one with: use = [...]")  # fmt: skip
            types[kind.name] = kind, step.plugin
    return types


def with_defaults(
    settings: Settings, types: Mapping[str, tuple[ProviderType, str]], environment: Mapping[str, str]
) -> Settings:
    """Return the settings with the providers that are detected automatically.

    Raises:
        SettingsError: An environment variable has a value that the provider type does not expect.
        PluginError: A provider type failed.
    """
    for name, (kind, _) in types.items():
        if any(provider.type == name for provider in settings.providers.values()):
            continue
        given = _asked(kind, "read the environment", kind.default, environment)
        if given is not None and name not in settings.providers:
            settings = settings.with_provider(name, given, where=f"the defaults of {name}")
    return with_pools(settings, types)


def with_pools(settings: Settings, types: Mapping[str, tuple[ProviderType, str]]) -> Settings:
    """Return the settings with the pool profile of each provider's type, for values that the settings do not choose.

    Raises:
        PluginError: A provider type failed.
    """
    providers = dict(settings.providers)
    for name, common in settings.providers.items():
        if common.type in types:
            kind, _ = types[common.type]
            pool = _asked(kind, "name its pool", kind.pool, [instance.url for instance in common.instances])
            providers[name] = attrs.evolve(common, pool=common.pool.over(pool))
    return attrs.evolve(settings, providers=providers)


def _asked(kind: ProviderType, what: str, question: Callable[[A], T], about: A) -> T:
    """Call a function of a provider type; an unexpected error names the type."""
    try:
        return question(about)
    except LocalAgentError:
        raise
    except Exception as error:  # the plugin's code
        raise PluginError(f"Provider type {kind.name} failed to {what}: {type(error).__name__}.") from error


def shared_servers(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the addresses of servers that several processes share, by the provider's name.

    Raises:
        SettingsError: The variable has another kind of value.
    """
    given = environment.get(SHARED_VARIABLE)
    try:
        return msgspec.json.decode(given, type=dict[str, str]) if given else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    # Not raised in the except block, because the decoder's error quotes the value.
    raise wrong_variable(SHARED_VARIABLE, given or "", 'a JSON object of texts, such as {"mine": "/run/mine.sock"}')
