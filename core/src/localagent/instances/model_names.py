"""Maps the name of a model (an alias, ``provider/name`` or the default) to the targets that serve it."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localagent.errors import ModelNotFound, NotAllowed
from localagent.pipeline.guard import own_error
from localagent.plugin_api.discovery import find_plugins
from localagent.plugin_api.installing import PROVIDER, missing_role
from localagent.records.instances import Target, check_model_name

if TYPE_CHECKING:
    from localagent.instances.registry import Registry
    from localagent.records.call import Principal
    from localagent.settings.model import Settings

log = logging.getLogger("localagent")

KNOWN_AT_MOST = 2_000
"""How many names are cached; with 256 characters and a few instances each they take a few megabytes."""


class ModelNames:
    """The names of models that one client serves.

    Args:
        registry: The configured providers and their instances.
        settings: The settings, for the aliases.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._instances = registry.instances
        self._registry = registry
        self._settings = settings
        self._known: dict[tuple[str, frozenset[str] | None], tuple[int, tuple[Target, ...]]] = {}
        self._reported: set[str] = set()

    def targets(self, model: str, principal: Principal) -> tuple[Target, ...]:
        """Return the targets of a model.

        Args:
            model: An alias, ``provider/name``, or empty for the default model.
            principal: The principal of the caller.

        Raises:
            InvalidRequest: The name is not valid; see ``check_model_name``.
            ModelNotFound: There is no such alias or provider, or it has no instance.
            NotAllowed: The principal may not use the model.
            SettingsError: The provider is not available because its keys are missing.
        """
        if model.__class__ is not str:
            check_model_name(model)
        key = (model, principal.models)
        known = self._known.get(key)
        if known is not None and known[0] == self._instances.version:
            return known[1]
        check_model_name(model)
        targets = tuple(
            Target(state.instance, name, place)
            for place, (provider, name) in enumerate(self._resolve(model, principal))
            for state in self._instances.of(provider)
        )
        if not targets:
            raise ModelNotFound(
                f"No instance serves {model or 'the default model'} now.", hint="See: localagent doctor"
            )
        if len(self._known) >= KNOWN_AT_MOST:
            self._known.clear()
        self._known[key] = (self._instances.version, targets)
        return targets

    def _resolve(self, model: str, principal: Principal) -> Sequence[tuple[str, str]]:
        asked = model or self._registry.default_model
        if not asked and self._registry.missing and not self._registry.providers:
            raise own_error(next(iter(self._registry.missing.values())).error)
        if not asked:
            raise ModelNotFound("The request names no model, and there is no default model.", hint=self._hint(""))
        alias = self._settings.models.get(asked)
        names = self._serving(alias.targets) if alias is not None else (asked,)
        if principal.models is not None and asked not in principal.models:
            raise NotAllowed(f"This tenant may not use the model {asked}.")
        return [self._split(name) for name in names]

    def _serving(self, names: Sequence[str]) -> Sequence[str]:
        """Return the targets with available providers; if none, the first target, so that its error is raised."""
        out = [name for name in names if self._registry.is_left_out(name.partition("/")[0])]
        if len(out) == len(names):
            return names[:1]
        for provider in dict.fromkeys(name.partition("/")[0] for name in out):
            if provider not in self._reported:
                self._reported.add(provider)
                log.warning("%s", self._registry.missing[provider].error)
        return [name for name in names if name not in out]

    def _split(self, name: str) -> tuple[str, str]:
        provider, slash, model = name.partition("/")
        if slash and self._registry.is_left_out(provider):
            raise own_error(self._registry.missing[provider].error)
        if not slash or provider not in self._registry.providers:
            what = f"no provider named {provider}" if slash else f"no alias named {name}"
            raise ModelNotFound(f"There is {what}.", hint=self._hint(name))
        return provider, model

    def _hint(self, name: str) -> str:
        provider, slash, model = name.partition("/")
        near = difflib.get_close_matches(provider, [*self._settings.models, *self._registry.providers], n=1)
        if near:
            return f"Did you mean {near[0]}{slash}{model}?"
        if not self._registry.providers and self._registry.types:
            return f"Add a table [providers.NAME] to the settings, with a type: {', '.join(self._registry.types)}."
        if not self._registry.providers:
            return missing_role(PROVIDER, find_plugins())
        known = ", ".join(self._registry.providers)
        return f"Write a model as PROVIDER/NAME; providers are: {known}. See: localagent models"
