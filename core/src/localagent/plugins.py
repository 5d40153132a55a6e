"""Plugins: the base class, how they are found, chosen and loaded, and what is said of those that are not.

Entry points of the group ``localagent`` are read as metadata, once a process; only chosen plugins are imported.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import attrs

from localagent.errors import LocalAgentError, PluginError
from localagent.installing import upgrade
from localagent.missing_plugins import missing_plugin

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

    from localagent.core import Core
    from localagent.settings.model import Settings

log = logging.getLogger("localagent")

GROUP = "localagent"


@attrs.frozen
class NoSettings:
    """The settings class of a plugin that has none."""


class Plugin:
    """The base of every plugin.

    The core makes it with its own settings, sets ``core``, and enters it: what is opened in ``__aenter__`` is closed
    in ``__aexit__``. Hooks are methods with ``@hookimpl``.

    A server that reads its settings again builds a new pipeline beside the one that is in use, and new plugins with it.
    A plugin that keeps something worth keeping (entries, counts, open breakers) says ``moves = True``: it is then moved
    as it is to the new pipeline, as long as its settings are the same. It serves both until the calls of the old one
    have ended; ``__aexit__`` comes when the last of them leaves. What it keeps of an instance it keeps by its ``id``,
    because the new pipeline has objects of its own; and it asks ``core`` each time for ``instances``, ``models``,
    ``random`` and ``hook``, and watches no instances, because what it got before belongs to the old one.

    Attributes:
        settings_class: attrs class of ``[plugins.NAME]``.
        default: False for a plugin that is active only when it is named.
        moves: True for a plugin that lives on when settings are read again and its own have not changed.
        needs_usage: True when its hooks need token counts, so that streams ask the server for them.
        hookspecs: A module (or object) with hook specifications that this plugin brings.
        name: The plugin's name: that of its entry point.
        settings: The filled ``settings_class``.
        core: The core's handle; there from ``__aenter__`` on.
    """

    settings_class: ClassVar[type] = NoSettings
    default: ClassVar[bool] = True
    moves: ClassVar[bool] = False
    needs_usage: ClassVar[bool] = False
    hookspecs: ClassVar[Any] = None

    name: str = ""
    core: Core

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.settings_class() if settings is None else settings

    def remarks(self, settings: Settings) -> Iterable[str]:
        """Return sentences that ``explain`` shows beneath the steps: what the plugin leaves out, and why.

        Args:
            settings: The settings of everything; the plugin has not been entered yet.
        """
        return ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@attrs.frozen
class Found:
    """An installed plugin, as its metadata describes it; nothing of it is imported.

    Attributes:
        name: The entry point's name.
        distribution: The distribution that brings it.
        version: That distribution's version.
        entry: The entry point.
    """

    name: str
    distribution: str
    version: str
    entry: EntryPoint


@attrs.frozen
class Report:
    """What became of a plugin.

    Attributes:
        name: The plugin's name.
        distribution: The distribution that brings it; empty when it is not installed or was passed as an object.
        version: That distribution's version.
        state: active, idle (not chosen) or failed.
        why: Why, in a few words.
        mend: What to do about it; empty when nothing needs to be done.
    """

    name: str
    distribution: str
    version: str
    state: Literal["active", "idle", "failed"]
    why: str
    mend: str = ""


@functools.cache
def find_plugins() -> Mapping[str, Found]:
    """Return the installed plugins by name. Reads metadata only; the result is kept for the life of the process.

    Raises:
        PluginError: Two distributions bring a plugin of the same name.
    """
    from importlib_metadata import entry_points

    found: dict[str, Found] = {}
    for entry in entry_points(group=GROUP):
        distribution = entry.dist.name if entry.dist else "?"
        version = entry.dist.version if entry.dist else "?"
        known = found.get(entry.name)
        if known is not None and known.distribution != distribution:
            raise PluginError(
                f"Two distributions bring a plugin named {entry.name}: {known.distribution} and {distribution}.",
                mend=f"Run: pip uninstall {distribution}",
            )
        found[entry.name] = Found(entry.name, distribution, version, entry)
    return dict(sorted(found.items()))


@attrs.frozen
class Loaded:
    """The class of a chosen plugin.

    Attributes:
        name: The plugin's name.
        kind: The class.
        report: What is said of it.
    """

    name: str
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
    loaded: list[Loaded] = []
    reports: list[Report] = []
    for name, plugin in found.items():
        if names is not None and name not in names:
            reports.append(_report(plugin, "idle", "not among the plugins that the settings name"))
            continue
        try:
            kind = _load(plugin)
        except PluginError as error:
            if names is not None:
                raise
            log.warning("%s", error)
            reports.append(_report(plugin, "failed", error.message, error.mend or ""))
            continue
        if names is None and not kind.default:
            reports.append(_report(plugin, "idle", "off by default; active when the settings name it"))
            continue
        report = _report(plugin, "active", "named in the settings" if names is not None else "installed")
        loaded.append(Loaded(name, kind, report))
        reports.append(report)
    return loaded, reports


def _report(plugin: Found, state: Literal["active", "idle", "failed"], why: str, mend: str = "") -> Report:
    return Report(plugin.name, plugin.distribution, plugin.version, state, why, mend)


def _load(plugin: Found) -> type[Plugin]:
    where = f"{plugin.name} (distribution {plugin.distribution} {plugin.version})"
    try:
        kind = plugin.entry.load()
    except LocalAgentError as error:
        raise PluginError(f"Plugin {where} cannot be imported: {error.message}", mend=error.mend) from error
    except Exception as error:  # the plugin's own module code, and what it imports
        raise PluginError(
            f"Plugin {where} cannot be imported: {type(error).__name__}: {error}.",
            mend=f"{upgrade(plugin.distribution)}, or leave it out of the settings.",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Plugin)):
        raise PluginError(
            f"Plugin {where}: its entry point names {plugin.entry.value}, which is no subclass of localagent.Plugin.",
            mend="Tell its author.",
        )
    return kind


def as_loaded(plugins: Sequence[type[Plugin]]) -> list[Loaded]:
    """Wrap classes that a program passes itself (in tests, say); their ``name`` attribute names them."""
    return [Loaded(kind.name, kind, Report(kind.name, "", "", "active", "passed by the program")) for kind in plugins]
