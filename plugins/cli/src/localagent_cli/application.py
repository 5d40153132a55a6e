"""The tree of commands. The module of a command, also of a plugin's command, is imported when the command is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from localagent_cli.line import CommandLine
from localagent_cli.options import common_options

COMMANDS = {
    "ask": "Ask a model one question and stream the answer.",
    "chat": "Talk to a model.",
    "models": "List the available models.",
    "plugins": "List the plugins, their steps, and the reason for the order of the steps.",
    "explain": "Show the steps of a request in order; with a prompt, what each step decided.",
    "cache": "Show, purge or export the contents of the caches.",
    "doctor": "Find problems and show how to fix them.",
    "config": "Show or check the settings, or create a settings file.",
    "version": "Print the version.",
    "help": "Show the help of a command.",
}
"""The built-in commands, each with its line of help; ``ask`` is ``ask`` in the module ``ask``."""

EPILOG = """\
`localagent help COMMAND` shows the help of a command; `localagent plugins` lists the plugins.

\b
Completion of commands, options and models, for your shell's startup file:
  bash  eval "$(_LOCALAGENT_COMPLETE=bash_source localagent)"
  zsh   eval "$(_LOCALAGENT_COMPLETE=zsh_source localagent)"
  fish  _LOCALAGENT_COMPLETE=fish_source localagent | source
"""


class Commands(click.Group):
    """The built-in commands and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands: the built-in ones, then those of plugins. None is imported."""
        return [*COMMANDS, *_brought()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it; None when there is no command of that name.

        Raises:
            PluginError: The command belongs to a plugin and cannot be imported.
        """
        if cmd_name in COMMANDS:
            found: click.Command = getattr(importlib.import_module(f"localagent_cli.{cmd_name}"), cmd_name)
            return found
        from localagent_cli.plugin_commands import load_command

        return load_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name.

        Raises:
            click.UsageError: There is no command of that name.
        """
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None and not ctx.resilient_parsing:  # no error while a shell completes
            from localagent.plugin_api import find_plugins
            from localagent_cli.hints import missing_command

            hint = missing_command(name, self.list_commands(ctx), find_plugins())
            ctx.fail(f"There is no command {name}. {hint}".rstrip())
        return name if found else None, found, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lists of commands; no command is imported."""
        for title, commands in (("Commands", COMMANDS), ("Commands of plugins", _brought())):
            if commands:
                with formatter.section(title):
                    formatter.write_dl(list(commands.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name; no command is imported."""
        commands = {**COMMANDS, **_brought()}
        names = (CompletionItem(name, help=text) for name, text in commands.items() if name.startswith(incomplete))
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def _brought() -> dict[str, str]:
    """Return the plugins' commands, each with its line of help."""
    from localagent_cli.plugin_commands import listed_commands

    return listed_commands()


def _overview(context: click.Context) -> None:
    """Print the help when no command is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _print_version(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value:
        from localagent_cli.version import print_version

        print_version(context.ensure_object(CommandLine))
        context.exit()


def _parameters() -> Iterable[click.Parameter]:
    version = click.Option(
        ["--version"], is_flag=True, expose_value=False, callback=_print_version, help="Print the version."
    )
    return [*common_options(hidden=False), version]


localagent = Commands(
    "localagent",
    help="Send requests to language models, local ones first.",
    epilog=EPILOG,
    params=list(_parameters()),
    callback=click.pass_context(_overview),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},  # commands below inherit them
)
