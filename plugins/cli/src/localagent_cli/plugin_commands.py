"""Commands that plugins bring."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from localagent import LocalAgentError, PluginError
from localagent_cli.application import COMMANDS

if TYPE_CHECKING:
    from localagent import Command
    from localagent.pipeline import Pipeline
    from localagent.plan import Step
    from localagent_cli.line import CommandLine

log = logging.getLogger("localagent")


def find_command(line: CommandLine, name: str) -> click.Command | None:
    """Return a command that a plugin brings; None when there is none of that name.

    Raises:
        PluginError: The plugin cannot make it.
    """
    try:
        _, pipeline, _ = line.assembled()
    except LocalAgentError as error:
        log.warning("The plugins cannot be asked for the command %s: %s", name, error)
        return None
    for plugin, brought in commands_of(pipeline):
        if brought.name == name:
            return _made(plugin, brought)
    return None


def brought_commands(line: CommandLine) -> list[str]:
    """Return the names of the commands that plugins bring; none where the plugins cannot be asked."""
    try:
        _, pipeline, _ = line.assembled()
    except LocalAgentError:  # it has been told
        return []
    return [brought.name for _, brought in commands_of(pipeline)]


def commands_of(pipeline: Pipeline) -> Iterator[tuple[str, Command]]:
    """Yield the plugins' commands, each with its plugin. What is broken, or there already, is left out and told."""
    known = dict.fromkeys(COMMANDS, "the core")
    for step in pipeline.steps["add_commands"]:
        for brought in _brought_by(step):
            if brought.name in known:
                log.warning(
                    "Plugin %s brings a command %s, which %s has already; it is left out.",
                    step.plugin, brought.name, known[brought.name],
                )  # fmt: skip
                continue
            known[brought.name] = step.plugin
            yield step.plugin, brought


def _brought_by(step: Step) -> list[Command]:
    try:
        return list(step.check(step.call()) or ())
    except Exception as error:  # the plugin's code: the command line goes on without it
        text = str(error) if isinstance(error, LocalAgentError) else type(error).__name__
        log.warning("Plugin %s failed in add_commands (%s); its commands are missing.", step.plugin, text)
        return []


def _made(plugin: str, brought: Command) -> click.Command:
    try:
        made = brought.make()
    except LocalAgentError:
        raise
    except Exception as error:  # the plugin's code
        raise PluginError(
            f"Plugin {plugin} cannot make its command {brought.name}: {type(error).__name__}: {error}.",
            mend=f"Upgrade it, or tell the author of {plugin}.",
        ) from error
    if not isinstance(made, click.Command):
        raise PluginError(f"Plugin {plugin} made {type(made).__name__} for {brought.name}, which is no click.Command.",
                          mend=f"Tell the author of {plugin}.")  # fmt: skip
    return made
