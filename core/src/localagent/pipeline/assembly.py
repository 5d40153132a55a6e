"""Builds a pipeline from settings, without an event loop. ``explain`` and ``plugins`` need no more than this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from localagent.errors import PluginError, SettingsError
from localagent.pipeline.pipeline import Pipeline
from localagent.plugin_api.discovery import Loaded, Report, as_loaded, load_plugins
from localagent.plugin_api.plugin import Plugin, PluginSource, used_twice
from localagent.settings.files import PLUGINS_VARIABLE, chosen_plugins, load_settings
from localagent.settings.model import Settings

Given = Settings | Mapping[str, Any] | Path | str | None


def read_settings(given: Given, environment: Mapping[str, str]) -> Settings:
    """Return the settings that a program passed, in any form, or those of the settings file.

    Raises:
        SettingsError: The settings are invalid.
    """
    if isinstance(given, Settings):
        return given
    if isinstance(given, Mapping):
        return Settings.from_mapping(given)
    return load_settings(Path(given) if given is not None else None, environment)


class Assembled(NamedTuple):
    """The parts from which a core is built.

    Attributes:
        settings: The settings.
        pipeline: The plugins and their plans.
        reports: A report on every known plugin.
    """

    settings: Settings
    pipeline: Pipeline
    reports: Sequence[Report] = ()


def assemble(
    given: Given,
    plugins: Sequence[PluginSource] | None,
    environment: Mapping[str, str],
    former: Assembled | None = None,
) -> Assembled:
    """Read the settings, load the selected plugins and build the pipeline.

    Args:
        given: The settings in any form.
        plugins: The classes, factories or objects of the plugins; None means the installed ones.
        environment: The environment variables, which may name the settings file.
        former: The parts of the running core that is replaced; its plugins that survive a reload are used again.

    Raises:
        SettingsError: The settings are invalid.
        PluginError: A plugin is missing or broken, or the order of steps is contradictory.
    """
    settings = read_settings(given, environment)
    if plugins is None:
        loaded, reports = _loaded(settings, environment)
    else:
        loaded = as_loaded(plugins)
        reports = [item.report for item in loaded]
    filled: dict[str, Any] = {item.name: _filled(settings, item) for item in loaded}
    moved = _moved_plugins(former, settings, loaded, filled) if former is not None else {}
    pipeline = Pipeline(loaded, filled, settings.order, settings.step_timeouts, moved=moved)
    return Assembled(settings, pipeline, reports)


def _loaded(settings: Settings, environment: Mapping[str, str]) -> tuple[list[Loaded], list[Report]]:
    try:
        return load_plugins(settings.use)
    except PluginError as error:
        if settings.use and settings.use == chosen_plugins(environment):
            raise PluginError(f"{PLUGINS_VARIABLE}: {error.message}", hint=error.hint) from error.__cause__
        raise


def _filled(settings: Settings, item: Loaded) -> Any:
    """Return the settings of a plugin. An object has its own; its table, if any, must contain equal values."""
    own = item.source.settings if isinstance(item.source, Plugin) else None
    if own is not None and item.name not in settings.plugins:
        return own
    filled: Any = settings.for_plugin(item.name, item.kind.settings_class)
    if own is not None and filled != own:
        raise SettingsError(
            f"{settings.where}: plugins.{item.name} differs from the settings of the plugin object that was passed.",
            hint="Remove this table, or pass the plugin's class, which is created with it.",
        )
    return filled


def _moved_plugins(
    former: Assembled, settings: Settings, loaded: Sequence[Loaded], filled: Mapping[str, Any]
) -> dict[str, Plugin]:
    """Return the plugins of a running core that move to the new one, by name.

    A plugin moves if it has ``survives_reload``, comes from the same class, factory or object, and has equal settings.
    A class is imported once per process, so the same class is the same version. No plugin moves if the state folder
    changes, because the plugins' files would stay in the old folder.

    Raises:
        PluginError: A plugin object was passed to both clients and cannot move.
    """
    moved: dict[str, Plugin] = {}
    same_folder = former.settings.state_folder == settings.state_folder
    for item in loaded:
        plugin = former.pipeline.plugins.get(item.name)
        if plugin is None or former.pipeline.sources[item.name] is not item.source:
            continue
        if same_folder and plugin.survives_reload and plugin.settings == filled[item.name]:
            moved[item.name] = plugin
        elif plugin is item.source:
            raise used_twice(item.name)
    return moved
