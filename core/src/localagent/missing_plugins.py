"""What is said of a plugin or provider type that is not there: the nearest right name, or how to get it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from localagent.errors import PluginError
from localagent.installing import install, known_plugins

SEE = "See: localagent plugins"
PROVIDER = "provider-"
CONNECT = "connect-"


def missing_plugin(name: str, installed: Iterable[str]) -> PluginError:
    """Return the error for a plugin that is not installed, with the nearest name or the command that installs it.

    Args:
        name: The plugin that was named.
        installed: Names of the plugins that are there.
    """
    return PluginError(f"There is no plugin named {name}.", mend=_mend(name, installed))


def _mend(name: str, installed: Iterable[str]) -> str:
    known, installed = known_plugins(), list(installed)
    if name in known:
        return install(known[name].distribution)
    names = list(dict.fromkeys([*installed, *known]))
    near = _nearest(name, names)
    if near is None:
        return SEE
    return f"Did you mean {near}?" if near in installed else _did_you_mean(near, near)


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant. What two names share by their role says nothing about the rest."""
    name, names = name.lower().replace("_", "-"), list(names)
    ends = [other for other in names if other.endswith(f"-{name}")]
    if ends:
        return ends[0]
    role = name.partition("-")[0]
    plain = {other.removeprefix(f"{role}-").lower(): other for other in names}
    near = difflib.get_close_matches(name.removeprefix(f"{role}-"), plain, n=1)
    if near:
        return plain[near[0]]
    roles = {other.partition("-")[0] for other in names}
    whole = difflib.get_close_matches(name, names, n=1, cutoff=0.75) if role not in roles else []
    return whole[0] if whole else None


def _did_you_mean(shown: str, plugin: str) -> str:
    """Return what to do where the right name is not installed either."""
    return f"Did you mean {shown}? {install(known_plugins()[plugin].distribution)}"


def missing_type(kind: str, active: Iterable[str], installed: Iterable[str]) -> str:
    """Return what to do about a provider type that no active plugin brings.

    Args:
        kind: The type that was named.
        active: The types that are there.
        installed: Names of the installed plugins, active or not.
    """
    installed, known, active = list(installed), known_plugins(), list(active)
    plugin = f"{PROVIDER}{kind}"
    if plugin in installed:
        return f'Add "{plugin}" to use = [...].'
    if plugin in known:
        return install(known[plugin].distribution)
    types = {name.removeprefix(PROVIDER): name for name in (*installed, *known) if name.startswith(PROVIDER)}
    near = difflib.get_close_matches(kind.lower(), [*active, *types], n=1)
    if not near:
        return f'Write type = "NAME", one of: {", ".join(active)}.' if active else SEE
    if near[0] in active or types[near[0]] in installed:
        return f'Did you mean "{near[0]}"?'
    return _did_you_mean(f'"{near[0]}"', types[near[0]])


def missing_transport(installed: Iterable[str]) -> str:
    """Return what to do where no active plugin brings a transport.

    Args:
        installed: Names of the installed plugins, active or not.
    """
    known = [plugin for name, plugin in known_plugins().items() if name.startswith(CONNECT)]
    there = [name for name in installed if name.startswith(CONNECT)]
    if not there:
        return install(known[0].distribution)
    name = next((plugin.name for plugin in known if plugin.name in there), there[0])
    return f'Add "{name}" to use = [...], or its class to the plugins that the program passes.'
