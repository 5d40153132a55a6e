"""Hints about commands and distributions: the closest valid name, how to install, how to uninstall."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from localagent.plugin_api import CORE, KnownPlugin, install, is_checkout, known_plugins, upgrade

PACKAGE = "localagent"


def missing_command(name: str, commands: Iterable[str], installed: Iterable[str]) -> str:
    """Return the hint for an unknown command.

    Args:
        name: The command that was typed.
        commands: The existing commands.
        installed: The names of the installed plugins.
    """
    commands = list(commands)
    bringers = {command: plugin for plugin in known_plugins().values() for command in plugin.commands}
    if name in bringers and name not in commands:
        distribution = bringers[name].distribution
        if bringers[name].name in installed:
            return f"It is part of {distribution}, but the installed version lacks it. {upgrade(distribution)}"
        return f"It is part of {distribution}. {install(distribution)}"
    near = difflib.get_close_matches(name, [*commands, *bringers], n=1)
    return f"Did you mean {near[0]}?" if near else ""


def install_one_of(plugins: Iterable[KnownPlugin]) -> str:
    """Return the hint that says how to install one of several plugins."""
    first, *others = [plugin.distribution for plugin in plugins]
    if is_checkout() or not others:
        return install(first)
    return f"{install(first)} (or {', '.join(others)})"


def uninstall(distribution: str) -> str:
    """Return the hint that says how to uninstall a distribution, which does not have to be part of LocalAgent."""
    return f"Run: uv pip uninstall {distribution}" if is_checkout() else f"Run: pip uninstall {distribution}"


def strangers() -> list[str]:
    """Return foreign distributions in the environment that contain an import package named ``localagent``.

    PyPI has such a distribution under the name ``localagent``, which a user might install by mistake.
    """
    from importlib.metadata import distributions, packages_distributions

    installed = {_plain(found.name) for found in distributions() if found.name}
    bringers = {_plain(name) for name in packages_distributions().get(PACKAGE, ())}
    return sorted((bringers | ({PACKAGE} & installed)) - {CORE})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
