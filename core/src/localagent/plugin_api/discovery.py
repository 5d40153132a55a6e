"""Finds, selects and loads plugins, and reports on those that are not active.

Entry points of the group ``localagent`` are read as metadata, once per process. Only selected plugins are imported.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs

from localagent.errors import LocalAgentError, PluginError
from localagent.plugin_api.installing import missing_plugin, upgrade
from localagent.plugin_api.plugin import Plugin, PluginSource, described, plugin_class

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

log = logging.getLogger("localagent")

GROUP = "localagent"


@attrs.frozen
class Named:
    """Identifies a plugin in errors.

    Attributes:
        name: The plugin's name.
        distribution: The distribution that contains it; empty if it is not installed or was passed as an object.
        version: The version of the distribution.
    """

    name: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} (distribution {self.distribution} {self.version})" if self.distribution else self.name


@attrs.frozen
class Found(Named):
    """An installed plugin, as its metadata describes it. It is not imported.

    Attributes:
        entry: The entry point.
    """

    entry: EntryPoint


@attrs.frozen
class Report(Named):
    """The state of a plugin.

    Attributes:
        state: active, idle (not selected) or failed.
        why: The reason, in a few words.
        hint: What to do about it; empty if there is nothing to do.
    """

    state: Literal["active", "idle", "failed"]
    why: str
    hint: str = ""


@functools.cache
def find_plugins() -> Mapping[str, Found]:
    """Return the installed plugins by name. It reads only metadata, and caches the result for the life of the process.

    Raises:
        PluginError: Two distributions contain a plugin of the same name.
    """
    from importlib_metadata import entry_points

    found: dict[str, Found] = {}
    for entry in entry_points(group=GROUP):
        distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
        known = found.get(entry.name)
        if known is not None and known.distribution != distribution:
            raise PluginError(
                f"Two distributions bring a plugin named {entry.name}: {known.distribution} and {distribution}.",
                hint=f"Run: pip uninstall {distribution}",
            )
        found[entry.name] = Found(entry.name, distribution, version, entry)
    return dict(sorted(found.items()))


@attrs.frozen
class Loaded:
    """A selected plugin that has not been created yet, or an object that the program created.

    Attributes:
        name: The plugin's name.
        source: The class, factory or object that was given.
        kind: The class of the plugin.
        report: Its report.
    """

    name: str
    source: PluginSource
    kind: type[Plugin]
    report: Report


def load_plugins(
    chosen: Iterable[str] | None, found: Mapping[str, Found] | None = None
) -> tuple[list[Loaded], list[Report]]:
    """Import the selected plugins.

    Args:
        chosen: Names from the settings; None selects all installed plugins that are on by default.
        found: The installed plugins; None looks them up.

    Returns:
        The loaded plugins, sorted by name, and a report on every known plugin.

    Raises:
        PluginError: A named plugin is not installed or cannot be imported.
    """
    found = find_plugins() if found is None else found
    names = None if chosen is None else list(dict.fromkeys(chosen))
    for name in names or ():
        if name not in found:
            raise missing_plugin(name, found)
    results = [_loaded(plugin, names) for plugin in found.values()]
    loaded = [result for result in results if isinstance(result, Loaded)]
    return loaded, [result.report if isinstance(result, Loaded) else result for result in results]


def _loaded(plugin: Found, names: Sequence[str] | None) -> Loaded | Report:
    """Import a plugin if it is selected; otherwise return a report on why it is not active."""
    report = functools.partial(Report, plugin.name, plugin.distribution, plugin.version)
    if names is not None and plugin.name not in names:
        return report("idle", "not among the plugins that the settings name")
    try:
        source = _load(plugin)
        subject = f"Plugin {plugin}: its entry point {plugin.entry.value}"
        kind = plugin_class(source, subject, "Report this to the author of the plugin.")
    except PluginError as error:
        if names is not None:
            raise
        log.warning("%s", error)
        return report("failed", error.message, error.hint or "")
    if names is None and not kind.default:
        return report("idle", "off by default; active when the settings name it")
    why = "installed" if names is None else "named in the settings"
    return Loaded(plugin.name, source, kind, report("active", why))


def _load(plugin: Found) -> PluginSource:
    """Import the object that an entry point names. It is not checked here whether it is a plugin."""
    try:
        source: PluginSource = plugin.entry.load()
    except LocalAgentError as error:
        raise PluginError(f"Plugin {plugin} cannot be imported: {error.message}", hint=error.hint) from error
    except Exception as error:  # the plugin's own module code, and what it imports
        raise PluginError(
            f"Plugin {plugin} cannot be imported: {type(error).__name__}: {error}.",
            hint=f"{upgrade(plugin.distribution)}, or remove it from the settings.",
        ) from error
    return source


def as_loaded(plugins: Sequence[PluginSource]) -> list[Loaded]:
    """Wrap plugins that a program passes, for example in tests. Their ``name`` attribute is the plugin's name.

    Raises:
        PluginError: An item is not a plugin or has no name, or two have the same name.
    """
    loaded: dict[str, Loaded] = {}
    for place, source in enumerate(plugins):
        subject = f"plugins[{place}] of the client"
        kind = plugin_class(source, subject)
        name = source.name if isinstance(source, Plugin) else kind.name
        if not name:
            raise PluginError(f"{subject} has no name.", hint=f'Write name = "ROLE-NAME" in {kind.__name__}.')
        if name in loaded:
            raise PluginError(f"{subject} is the second one named {name}.", hint="Give each plugin its own name.")
        loaded[name] = Loaded(name, source, kind, Report(name, "", "", "active", "passed by the program"))
    return list(loaded.values())


def make_plugin(item: Loaded, settings: Any) -> Plugin:
    """Create a plugin from its class or factory with its settings, or return the object that was given.

    Args:
        item: The plugin.
        settings: The filled settings; None means the defaults.

    Raises:
        PluginError: It cannot be created, or a factory returned an object of another type.
    """
    if isinstance(item.source, Plugin):
        plugin: object = item.source
    else:
        try:
            plugin = item.source(item.kind.settings_class() if settings is None else settings)
        except PluginError:
            raise
        except Exception as error:  # the plugin's constructor or factory
            raise _unmade(item, f"{type(error).__name__}: {error}") from error
    if not isinstance(plugin, item.kind):
        returned = "None" if plugin is None else type(plugin).__name__
        raise _unmade(item, f"{described(item.source)} returned {returned}; expected {item.kind.__name__}")
    plugin.name = item.name
    return plugin


def _unmade(item: Loaded, why: str) -> PluginError:
    return PluginError(
        f"Plugin {item.report} cannot be created: {why}.", hint="Upgrade it, or remove it from the settings."
    )
