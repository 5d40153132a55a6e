"""How plugins are found, chosen and loaded, and what is reported about those that are not.

Entry points of the group ``localagent`` are read as metadata, once a process; only chosen plugins are imported.
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
    """A plugin as errors name it.

    Attributes:
        name: The plugin's name.
        distribution: The distribution that brings it; empty when it is not installed or was passed as an object.
        version: That distribution's version.
    """

    name: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} (distribution {self.distribution} {self.version})" if self.distribution else self.name


@attrs.frozen
class Found(Named):
    """An installed plugin, as its metadata describes it; none of it is imported.

    Attributes:
        entry: The entry point.
    """

    entry: EntryPoint


@attrs.frozen
class Report(Named):
    """What became of a plugin.

    Attributes:
        state: active, idle (not chosen) or failed.
        why: Why, in a few words.
        hint: What to do about it; empty when nothing needs to be done.
    """

    state: Literal["active", "idle", "failed"]
    why: str
    hint: str = ""


@functools.cache
def find_plugins() -> Mapping[str, Found]:
    """Return the installed plugins by name. Reads metadata only; the result is kept for the life of the process.

    Raises:
        PluginError: Two distributions bring a plugin of the same name.
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
    """A chosen plugin that is not made yet, or an object that a program made.

    Attributes:
        name: The plugin's name.
        source: The class, factory or object that gives it.
        kind: Its class.
        report: What is reported about it.
    """

    name: str
    source: PluginSource
    kind: type[Plugin]
    report: Report


def load_plugins(
    chosen: Iterable[str] | None, found: Mapping[str, Found] | None = None
) -> tuple[list[Loaded], list[Report]]:
    """Import the chosen plugins.

    Args:
        chosen: Names from the settings; None means all that are installed and not off by default.
        found: The installed plugins; None looks them up.

    Returns:
        The loaded plugins in the order of their names, and a report on every plugin that is known.

    Raises:
        PluginError: A plugin that was named is not installed or cannot be imported.
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
    """Import a plugin if it is among the chosen; a report says why it is not active."""
    report = functools.partial(Report, plugin.name, plugin.distribution, plugin.version)
    if names is not None and plugin.name not in names:
        return report("idle", "not among the plugins that the settings name")
    try:
        source = _load(plugin)
        kind = plugin_class(source, f"Plugin {plugin}: its entry point {plugin.entry.value}", "Tell its author.")
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
    """Import what an entry point names; whether it is a plugin is not known yet."""
    try:
        source: PluginSource = plugin.entry.load()
    except LocalAgentError as error:
        raise PluginError(f"Plugin {plugin} cannot be imported: {error.message}", hint=error.hint) from error
    except Exception as error:  # the plugin's own module code, and what it imports
        raise PluginError(
            f"Plugin {plugin} cannot be imported: {type(error).__name__}: {error}.",
            hint=f"{upgrade(plugin.distribution)}, or leave it out of the settings.",
        ) from error
    return source


def as_loaded(plugins: Sequence[PluginSource]) -> list[Loaded]:
    """Wrap what a program passes itself (in tests, say); their ``name`` attributes name them.

    Raises:
        PluginError: One is no plugin or has no name, or two have the same.
    """
    loaded: dict[str, Loaded] = {}
    for place, source in enumerate(plugins):
        subject = f"plugins[{place}] of the client"
        kind = plugin_class(source, subject)
        name = source.name if isinstance(source, Plugin) else kind.name
        if not name:
            raise PluginError(f"{subject} has no name.", hint=f'Write name = "ROLE-NAME" in {kind.__name__}.')
        if name in loaded:
            raise PluginError(f"{subject} is the second one named {name}.", hint="Give each a name of its own.")
        loaded[name] = Loaded(name, source, kind, Report(name, "", "", "active", "passed by the program"))
    return list(loaded.values())


def make_plugin(item: Loaded, settings: Any) -> Plugin:
    """Return the plugin that a class or factory makes of its settings, or the object that was given.

    Args:
        item: The plugin.
        settings: Its filled settings; None means the defaults.

    Raises:
        PluginError: It cannot be made, or a factory returned something else.
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
        f"Plugin {item.report} cannot be made: {why}.", hint="Upgrade it, or leave it out of the settings."
    )
