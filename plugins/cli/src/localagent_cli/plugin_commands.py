"""The commands of plugins: entry points in the group ``localagent.commands``, each of which names a click command.

Only their metadata is read. A plugin's module is imported when its command is used, and not before.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import attrs
import click

from localagent import LocalAgentError
from localagent.errors import PluginError
from localagent_cli.application import COMMANDS
from localagent_cli.unimported import read_command

log = logging.getLogger("localagent")

GROUP = "localagent.commands"
OWN = "localagent-cli"


@attrs.frozen
class FoundCommand:
    """A command of a plugin, as its metadata describes it; no module of the plugin is imported.

    Attributes:
        name: The name as it is typed.
        distribution: The distribution that contains it.
        version: That distribution's version.
        entry: The entry point.
    """

    name: str
    distribution: str
    version: str
    entry: EntryPoint


@functools.cache
def find_commands() -> Mapping[str, FoundCommand]:
    """Return the commands of plugins by name. A command whose name is taken is ignored with a warning.

    Reads metadata only; the result is cached for the life of the process.
    """
    found: dict[str, FoundCommand] = {}
    for one in sorted(map(_found, entry_points(group=GROUP)), key=lambda one: (one.name, one.distribution)):
        known = OWN if one.name in COMMANDS else found[one.name].distribution if one.name in found else ""
        if known:
            log.warning(
                "The command %s of %s is ignored: %s already has a command of that name.",
                one.name,
                one.distribution,
                known,
            )
        else:
            found[one.name] = one
    return found


def _found(entry: EntryPoint) -> FoundCommand:
    if entry.dist is None:
        return FoundCommand(entry.name, "?", "?", entry)
    return FoundCommand(entry.name, entry.dist.name, entry.dist.version, entry)


def listed_commands() -> dict[str, str]:
    """Return the commands of plugins, except hidden ones, each with its line of help. No plugin is imported."""
    read = {name: (found, read_command(name, found.entry.value)) for name, found in find_commands().items()}
    return {name: _line(found, command) for name, (found, command) in read.items() if not (command and command.hidden)}


def _line(found: FoundCommand, command: click.Command | None) -> str:
    """Return the line that click would show, not shortened; if it cannot be read, the distribution of the command."""
    line = command.get_short_help_str(limit=1000) if command is not None else ""
    return line or f"A command of {found.distribution}."


def load_command(name: str) -> click.Command | None:
    """Import a plugin's command and return it; None when there is no command of that name.

    Raises:
        PluginError: It cannot be imported, or is not a click command.
    """
    found = find_commands().get(name)
    if found is None:
        return None
    try:
        loaded = found.entry.load()
    except Exception as error:  # from the plugin's own module code and its imports
        raise _unusable(found, error) from error
    if not isinstance(loaded, click.Command):
        raise PluginError(
            f"The command {name} of {_source(found)} cannot be used: {found.entry.value} is not a click.Command.",
            hint=f"Report this to the author of {found.distribution}.",
        )
    return loaded


def _unusable(found: FoundCommand, error: Exception) -> PluginError:
    from localagent.plugin_api import upgrade

    what = f"The command {found.name} of {_source(found)} cannot be imported"
    if isinstance(error, LocalAgentError):
        return PluginError(f"{what}: {error.message}", hint=error.hint)
    return PluginError(
        f"{what}: {type(error).__name__}: {error}.", hint=f"{upgrade(found.distribution)}, or uninstall it."
    )


def _source(found: FoundCommand) -> str:
    return f"{found.distribution} {found.version}"
