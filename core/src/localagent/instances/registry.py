"""Providers as they are configured, and the way from a model's name to its targets."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from localagent.errors import Draining, LocalAgentError, ModelNotFound, NotAllowed, PluginError, SettingsError
from localagent.pipeline.guard import own_error
from localagent.plugin_api.core import Handle
from localagent.plugin_api.discovery import find_plugins
from localagent.plugin_api.installing import PROVIDER, missing_role, missing_type
from localagent.plugin_api.providers import Provider, ProviderSetup, ProviderType
from localagent.records.call import Principal
from localagent.records.instances import PoolProfile, Target, check_model_name
from localagent.structuring.place import wrong_variable
from localagent.structuring.secrets import MissingKeys, SecretMissing, left_out, missing_keys

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Pipeline
    from localagent.runtime import Runtime
    from localagent.settings.model import Settings
    from localagent.settings.provider import ProviderSettings

log = logging.getLogger("localagent")

SHARED_VARIABLE = "LOCALAGENT_SHARED"
"""The variable by which a front of several processes tells each of them what runs once for all: a JSON object."""


KNOWN_AT_MOST = 2_000
"""Names whose targets are remembered; with 256 characters and a few instances each they take a few megabytes."""


@attrs.define(eq=False)
class Source:
    """A configured provider in service.

    Attributes:
        name: Its name in the settings.
        type: Its type.
        provider: What the plugin made.
        common: What every provider has in the settings, the time limits of its exchanges among it.
        why: Why it is there: named in the settings, or found in the environment.
        opened: Whether ``Provider.open`` has succeeded.
    """

    name: str
    type: ProviderType
    provider: Provider
    common: ProviderSettings
    why: str
    opened: bool = False
    _opening: asyncio.Task[None] | None = None
    _closed: bool = False

    async def open(self) -> None:
        """Open the provider once; whoever comes meanwhile waits for the same opening. A failure is not remembered."""
        if self.opened:
            return
        if self._closed:
            raise Draining(f"The provider {self.name} is closed.")
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self.provider.open(), name=f"open {self.name}")
            self._opening.add_done_callback(self._done)
        await asyncio.shield(self._opening)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        self.opened = not task.cancelled() and task.exception() is None

    async def aclose(self) -> None:
        """Close the provider, whether or not it is open; it is not opened again."""
        self._closed, self.opened = True, False
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self.provider.aclose()


def provider_types(pipeline: Pipeline) -> dict[str, tuple[ProviderType, str]]:
    """Ask every plugin for its provider types; returns each by name, with the plugin that brings it.

    Raises:
        PluginError: A plugin raised, or two bring a type of the same name.
    """
    types: dict[str, tuple[ProviderType, str]] = {}
    for step in pipeline.steps["provide"]:
        try:
            brought = step.check(step.call()) or ()
        except (Exception, asyncio.CancelledError) as error:  # the plugin's code: refused at start, by the contract
            raise PluginError(f"Plugin {step.plugin} failed in provide: {type(error).__name__}.") from error
        for kind in brought:
            if kind.name in types:
                other = types[kind.name][1]
                raise PluginError(f"The plugins {other} and {step.plugin} both bring the provider type {kind.name}.",
                                  mend="Choose one with: use = [...]")  # fmt: skip
            types[kind.name] = kind, step.plugin
    return types


def with_defaults(
    settings: Settings, types: Mapping[str, tuple[ProviderType, str]], environment: Mapping[str, str]
) -> Settings:
    """Return the settings with the providers that are there without being named.

    Raises:
        SettingsError: A variable that a provider type reads does not hold what it expects.
        PluginError: A provider type failed.
    """
    for name, (kind, _) in types.items():
        if any(provider.type == name for provider in settings.providers.values()):
            continue
        given = _found_by(kind, environment)
        if given is not None and name not in settings.providers:
            settings = settings.with_provider(name, given, where=f"the defaults of {name}")
    return with_pools(settings, types)


def with_pools(settings: Settings, types: Mapping[str, tuple[ProviderType, str]]) -> Settings:
    """Return the settings with the pool profile of each provider's type, where they choose nothing themselves.

    Raises:
        PluginError: A provider type failed.
    """
    providers = {
        name: attrs.evolve(common, pool=common.pool.over(_pool_of(types[common.type][0], common)))
        for name, common in settings.providers.items()
        if common.type in types
    }
    return attrs.evolve(settings, providers={**settings.providers, **providers})


def _pool_of(kind: ProviderType, common: ProviderSettings) -> PoolProfile:
    try:
        return kind.pool([instance.url for instance in common.instances])
    except Exception as error:  # the plugin's code
        raise PluginError(f"Provider type {kind.name} failed to name its pool: {type(error).__name__}.") from error


def _found_by(kind: ProviderType, environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    try:
        return kind.default(environment)
    except LocalAgentError:
        raise
    except Exception as error:  # the plugin's code
        raise PluginError(
            f"Provider type {kind.name} failed to read the environment: {type(error).__name__}."
        ) from error


def _shared(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return where providers reach what runs once for several processes, by the provider's name.

    Raises:
        SettingsError: The variable holds something else.
    """
    given = environment.get(SHARED_VARIABLE)
    try:
        return msgspec.json.decode(given, type=dict[str, str]) if given else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    # Raised here and not above: the decoder's error quotes the value.
    raise wrong_variable(SHARED_VARIABLE, given or "", 'a JSON object of texts, such as {"mine": "/run/mine.sock"}')


class Registry:
    """The providers of one client.

    Args:
        core: The running core.

    Attributes:
        types: The provider types by name, each with the plugin that brings it.
        sources: The providers that can be asked.
        missing: The providers that lack keys; those of them that are left out are no sources.
        default_model: What answers when nobody names a model.
    """

    def __init__(self, core: Runtime) -> None:
        self._core = core
        self._known: dict[tuple[str, frozenset[str] | None], tuple[int, tuple[Target, ...]]] = {}
        self.types: dict[str, tuple[ProviderType, str]] = {}
        self.sources: dict[str, Source] = {}
        self.missing: dict[str, MissingKeys] = {}
        self._told: set[str] = set()
        self.default_model: str | None = None

    def fill(self) -> None:
        """Make all providers of the settings, and those that the environment gives; one without its keys is left out.

        Raises:
            SettingsError: A provider's settings are wrong.
            PluginError: Its type is brought by no active plugin.
        """
        core = self._core
        self.types = provider_types(core.pipeline)
        settings = with_defaults(core.settings, self.types, core.environment)
        for name, common in settings.providers.items():
            named = name in core.settings.providers
            self._make(settings, name, common, "named in the settings" if named else "found without being named")
        self.default_model = settings.default_model or self._some_default()

    def _make(self, settings: Any, name: str, common: ProviderSettings, why: str) -> None:
        kind, plugin = self.types.get(common.type, (None, ""))
        if kind is None:
            mend = missing_type(common.type, self.types, find_plugins())
            raise SettingsError(f"Provider {name} is of type {common.type}, which no active plugin brings.", mend=mend)
        setup = ProviderSetup(
            name=name,
            type=common.type,
            settings=settings.for_provider(name, kind.settings),
            common=common,
            environment=self._core.environment,
            core=Handle(self._core, plugin),
            shared=_shared(self._core.environment).get(name, ""),
            error_rules=kind.error_rules,
        )
        provider = self._made(kind, setup)
        if provider is None:
            return
        self.sources[name] = Source(name, kind, provider, common, why)
        for instance in provider.instances:
            try:
                self._core.instances.add(instance)
            except ValueError as error:
                raise SettingsError(f"Provider {name}: {error}.", mend="Give one of them a name of its own.") from None

    def _made(self, kind: ProviderType, setup: ProviderSetup) -> Provider | None:
        """Make a provider; None when it cannot be asked for want of its keys."""
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
        models = ((name, source.provider.default_model) for name, source in self.sources.items())
        return next((f"{name}/{model}" for name, model in models if model is not None), None)

    def targets(self, model: str, principal: Principal) -> tuple[Target, ...]:
        """Return the targets of a model's name: an alias, ``provider/name``, or empty for the default.

        Raises:
            InvalidRequest: It is no name of a model; see ``check_model_name``.
            ModelNotFound: There is no such alias or provider, or it has no instance.
            NotAllowed: The principal may not use it.
            SettingsError: The provider was left out, because it lacks its keys.
        """
        if model.__class__ is not str:
            check_model_name(model)
        key = (model, principal.models)
        known = self._known.get(key)
        if known is not None and known[0] == self._core.instances.version:
            return known[1]
        check_model_name(model)
        targets = tuple(
            Target(state.instance, name, place)
            for place, (provider, name) in enumerate(self._resolve(model, principal))
            for state in self._core.instances.of(provider)
        )
        if not targets:
            raise ModelNotFound(
                f"No instance serves {model or 'the default model'} now.", mend="See: localagent doctor"
            )
        if len(self._known) >= KNOWN_AT_MOST:
            self._known.clear()
        self._known[key] = (self._core.instances.version, targets)
        return targets

    def _resolve(self, model: str, principal: Principal) -> Sequence[tuple[str, str]]:
        asked = model or self.default_model
        if not asked and self.missing and not self.sources:
            raise own_error(next(iter(self.missing.values())).error)
        if not asked:
            raise ModelNotFound("No model was named and there is no default.", mend=self._mend(""))
        alias = self._core.settings.models.get(asked)
        names = self._serving(alias.targets) if alias is not None else (asked,)
        if principal.models is not None and asked not in principal.models:
            raise NotAllowed(f"The model {asked} is not among those that this tenant may use.")
        return [self._split(name) for name in names]

    def _serving(self, names: Sequence[str]) -> Sequence[str]:
        """Return the targets whose providers are not left out; where all are, the first, so that its error is told."""
        out = [name for name in names if self._is_left_out(name.partition("/")[0])]
        if len(out) == len(names):
            return names[:1]
        for provider in dict.fromkeys(name.partition("/")[0] for name in out):
            if provider not in self._told:
                self._told.add(provider)
                log.warning("%s", self.missing[provider].error)
        return [name for name in names if name not in out]

    def _is_left_out(self, provider: str) -> bool:
        return provider in self.missing and self.missing[provider].left_out

    def _split(self, name: str) -> tuple[str, str]:
        provider, slash, model = name.partition("/")
        if slash and self._is_left_out(provider):
            raise own_error(self.missing[provider].error)
        if not slash or provider not in self.sources:
            what = f"no provider named {provider}" if slash else f"no alias named {name}"
            raise ModelNotFound(f"There is {what}.", mend=self._mend(name))
        return provider, model

    def _mend(self, name: str) -> str:
        provider, slash, model = name.partition("/")
        near = difflib.get_close_matches(provider, [*self._core.settings.models, *self.sources], n=1)
        if near:
            return f"Did you mean {near[0]}{slash}{model}?"
        if not self.sources and self.types:
            return f"Write a table [providers.NAME] into the settings, with a type: {', '.join(self.types)}."
        if not self.sources:
            return missing_role(PROVIDER, find_plugins())
        known = ", ".join(self.sources)
        return f"A model is written PROVIDER/NAME; providers are: {known}. See: localagent models"

    async def aclose(self) -> None:
        """Close all providers at the same time."""
        ends = await asyncio.gather(*(source.aclose() for source in self.sources.values()), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
