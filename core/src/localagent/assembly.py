"""From settings to a pipeline: what can be said without an event loop. ``explain`` and ``plugins`` stop here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localagent.errors import PluginError
from localagent.moving import moved_plugins
from localagent.pipeline import Pipeline
from localagent.plugins import Loaded, Plugin, Report, as_loaded, load_plugins
from localagent.settings.files import PLUGINS_VARIABLE, chosen_plugins, load_settings
from localagent.settings.model import Settings

if TYPE_CHECKING:
    from localagent.runtime import Runtime

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


def assemble(
    given: Given,
    plugins: Sequence[type[Plugin]] | None,
    environment: Mapping[str, str],
    former: Runtime | None = None,
) -> tuple[Settings, Pipeline]:
    """Read the settings, load the chosen plugins and compile their order.

    Args:
        given: The settings in whatever form.
        plugins: The classes of the plugins; None means the installed ones.
        environment: The environment, in which the settings file may be named.
        former: A running core whose place is taken; plugins of its that can be moved are not made anew.

    Raises:
        SettingsError: The settings are wrong.
        PluginError: A plugin is missing, broken, or ordered in a contradiction.
    """
    settings, pipeline, _ = assemble_with_reports(given, plugins, environment, former)
    return settings, pipeline


def assemble_with_reports(
    given: Given,
    plugins: Sequence[type[Plugin]] | None,
    environment: Mapping[str, str],
    former: Runtime | None = None,
) -> tuple[Settings, Pipeline, list[Report]]:
    """The same, with a report on every plugin that is known."""
    settings = read_settings(given, environment)
    if plugins is None:
        loaded, reports = _loaded(settings, environment)
    else:
        loaded = as_loaded(plugins)
        reports = [item.report for item in loaded]
    filled: dict[str, Any] = {item.name: settings.for_plugin(item.name, item.kind.settings_class) for item in loaded}
    moved = moved_plugins(former, settings, loaded, filled) if former is not None else {}
    pipeline = Pipeline(loaded, filled, settings.order, settings.limits, moved=moved)
    return settings, pipeline, reports


def _loaded(settings: Settings, environment: Mapping[str, str]) -> tuple[list[Loaded], list[Report]]:
    try:
        return load_plugins(settings.use)
    except PluginError as error:
        if settings.use and settings.use == chosen_plugins(environment):
            raise PluginError(f"{PLUGINS_VARIABLE}: {error.message}", mend=error.mend) from error.__cause__
        raise
