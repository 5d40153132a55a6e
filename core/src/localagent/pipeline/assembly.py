"""From settings to a pipeline: what can be said without an event loop. ``explain`` and ``plugins`` stop here."""

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
    """Return the settings that a program gave, in whatever form, or those of the settings file.

    Raises:
        SettingsError: They are wrong.
    """
    if isinstance(given, Settings):
        return given
    if isinstance(given, Mapping):
        return Settings.from_mapping(given)
    return load_settings(Path(given) if given is not None else None, environment)


class Assembled(NamedTuple):
    """What a core is made of.

    Attributes:
        settings: The settings.
        pipeline: The plugins and their plans.
        reports: A report on every plugin that is known.
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
    """Read the settings, load the chosen plugins and compile their order.

    Args:
        given: The settings in whatever form.
        plugins: The classes, factories or objects of the plugins; None means the installed ones.
        environment: The environment, in which the settings file may be named.
        former: What a running core was made of that is replaced; its plugins that survive a reload are used again.

    Raises:
        SettingsError: The settings are wrong.
        PluginError: A plugin is missing, broken, or ordered in a contradiction.
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
    """Return the settings of a plugin; an object has its own, and its table may only say the same."""
    own = item.source.settings if isinstance(item.source, Plugin) else None
    if own is not None and item.name not in settings.plugins:
        return own
    filled: Any = settings.for_plugin(item.name, item.kind.settings_class)
    if own is not None and filled != own:
        raise SettingsError(
            f"{settings.where}: plugins.{item.name} differs from the settings of the object that was given as plugin.",
            hint="Take this table out, or give the plugin's class, which is made with it.",
        )
    return filled


def _moved_plugins(
    former: Assembled, settings: Settings, loaded: Sequence[Loaded], filled: Mapping[str, Any]
) -> dict[str, Plugin]:
    """Return the plugins of a running core that are moved, by name.

    They offer it, and are given by the same class, factory or object with equal settings. A class is imported once a
    process, so the same class is the same version. None is moved when the state folder is another one: their files
    would stay in the old.

    Raises:
        PluginError: An object that was given to both cannot be moved.
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
