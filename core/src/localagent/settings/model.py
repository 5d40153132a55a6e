"""The settings of the core, and those that all providers share. Each class is one table of the settings file.

``settings.files`` finds and reads the file. The settings of a plugin or a provider type stay raw here;
``Settings.for_plugin`` and ``Settings.for_provider`` read them with the class that the plugin or type declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import attrs

from localagent.records.caching import Policy
from localagent.settings.provider import ProviderSettings
from localagent.structuring.fields import NOT_A_SETTING, Amount, Count, PositiveSeconds, Reading, Share, setting_fields
from localagent.structuring.place import Place
from localagent.structuring.reading import read, read_table, structure

T = TypeVar("T")


def _read_model(value: object) -> str:
    if not isinstance(value, str) or not all(value.partition("/")):
        raise ValueError("no provider, or no name")
    return value


ModelName = Annotated[str, Reading(_read_model, 'a model as "provider/name"')]


@attrs.frozen
class Alias:
    """``[models.NAME]``: one name for several models. May be written as a list of its targets.

    Attributes:
        targets: The models, as ``provider/name``, in the order in which they are tried.
    """

    targets: tuple[ModelName, ...]

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read a table, or a list of targets."""
        alias = read_table(cls, {"targets": value} if isinstance(value, list | tuple) else value, place)
        if not alias.targets:
            raise place.wrong([], "at least one target")
        return alias


@attrs.frozen
class Sharing:
    """``[sharing]``: which calls may share an answer.

    Attributes:
        policy: ``deterministic``: embeddings, and requests with temperature 0 or a seed; ``all``: every request.
        samples: How many answers are stored for a request that is not deterministic; each call draws one of them.
        flights: Whether identical calls at the same time share one upstream call; by default, if a cache is active.
    """

    policy: Policy = "deterministic"
    samples: Count = 1
    flights: bool | None = None


@attrs.frozen
class RetryBudgetSettings:
    """``[retry]``: how many retries, continuations and hedges all calls together may make.

    Attributes:
        ratio: Retries for each call of the last ``window``; 0.2 means one for every five calls.
        floor: Retries per second that are always allowed, even after few calls.
        window: How long a call or a retry counts, in seconds.
    """

    ratio: Share = 0.2
    floor: Amount = 10.0
    window: PositiveSeconds = 10.0


@attrs.frozen
class HealthSettings:
    """``[health]``: the core's checks of instances.

    Attributes:
        interval: Seconds between two checks of an instance that is in use.
        enabled: Whether instances are checked; without checks, only the outcome of requests shows their health.
    """

    interval: PositiveSeconds = 15.0
    enabled: bool = True


@attrs.frozen
class Settings:
    """The settings of a client; ``Settings()`` are the defaults.

    Attributes:
        use: The plugins that are active; by default, all installed ones except those that are off by default.
        default_model: The model, or alias, that is used when a call does not name one.
        models: ``[models.NAME]``: aliases.
        providers: ``[providers.NAME]``.
        plugins: ``[plugins.NAME]``: the tables of plugins, as written.
        order: ``[order]``: for a hook, the plugins whose steps come first, in this order.
        sharing: ``[sharing]``.
        retry: ``[retry]``: the retry budget.
        max_attempts: Maximum number of attempts of one call.
        timeout: Timeout of a whole call in seconds, unless the call sets its own.
        step_timeouts: ``[step_timeouts]``: for a hook, how long one step may take, in seconds.
        state_folder: The folder for files that outlive the process; by default, the platform's folder for them.
        health: ``[health]``.
        source: The file that the settings were read from; None if they were not read from a file.
        where: The name of that file, or of the program that passed the settings, in errors.

    Example:
        ::

            settings = Settings.from_mapping({"default_model": "openai/gpt-5-mini", "timeout": "2 min"})

    Since: 0.1.
    """

    use: tuple[str, ...] | None = None
    default_model: str | None = None
    models: dict[str, Alias] = attrs.field(factory=dict)
    providers: dict[str, ProviderSettings] = attrs.field(factory=dict)
    # Not yet checked, so it may contain a key.
    plugins: dict[str, dict[str, Any]] = attrs.field(factory=dict, repr=False)
    order: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    sharing: Sharing = Sharing()
    retry: RetryBudgetSettings = RetryBudgetSettings()
    max_attempts: Count = 6
    timeout: PositiveSeconds = 600.0
    step_timeouts: dict[str, PositiveSeconds] = attrs.field(factory=dict)
    state_folder: Path | None = None
    health: HealthSettings = HealthSettings()
    source: Path | None = attrs.field(default=None, metadata=NOT_A_SETTING)
    where: str = attrs.field(default="settings", eq=False, metadata=NOT_A_SETTING)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "settings", source: Path | None = None) -> Self:
        """Read settings from a mapping with the same shape as the file.

        Args:
            mapping: Names and values, as ``tomllib`` or a program makes them.
            where: The name of their source in errors.
            source: The file that they come from; relative paths start from its folder.

        Raises:
            SettingsError: A key is unknown or missing, or a value is not what was expected.
        """
        place = _root(where, source)
        return attrs.evolve(structure(cls, _with_use(mapping, place), where=place), source=source, where=where)

    def for_plugin(self, name: str, cls: type[T]) -> T:
        """Read ``[plugins.NAME]`` with the settings class of the plugin; a missing table gives the defaults.

        Raises:
            SettingsError: The table does not fit the class.
        """
        return structure(cls, self.plugins.get(name, {}), where=_root(self.where, self.source).key("plugins").key(name))

    def for_provider(self, name: str, cls: type[T]) -> T:
        """Read the keys of ``[providers.NAME]`` other than the common ones with the settings class of its type.

        Raises:
            SettingsError: A key is neither a common one nor one of the type, or a value is not what was expected.
        """
        provider = self.providers[name]
        return read_table(cls, provider.extra, provider.place, also=setting_fields(ProviderSettings))

    def with_provider(self, name: str, mapping: Mapping[str, Any], where: str) -> Self:
        """Return these settings with one more provider, such as one whose key is in the environment.

        Args:
            name: The provider's name.
            mapping: Its table.
            where: The name of the table's source in errors.
        """
        provider = ProviderSettings.from_settings(mapping, Place(where).key("providers").key(name))
        return attrs.evolve(self, providers={**self.providers, name: provider})


def _root(where: str, source: Path | None) -> Place:
    return Place(where, folder=source.parent if source else None, top=frozenset(setting_fields(Settings)))


def _with_use(mapping: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    """Accept ``plugins = [...]`` as ``use = [...]``, unless this contradicts other settings."""
    plugins = mapping.get("plugins")
    place = place.key("plugins")
    if isinstance(plugins, list | tuple):
        if "use" in mapping:
            raise place.wrong(plugins, "a table [plugins.NAME] for each plugin, because use already chooses them")
        chosen = read(tuple[str, ...], plugins, place)
        return {"use": chosen, **{key: value for key, value in mapping.items() if key != "plugins"}}
    for name, table in plugins.items() if isinstance(plugins, Mapping) else ():
        if isinstance(table, list | tuple):
            raise place.key(name).wrong(table, "a table", hint="Plugins are chosen by use = [...] at the top.")
    return mapping
