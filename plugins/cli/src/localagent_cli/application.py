"""The tree of commands. A command's module is imported when the command is used, a plugin when its command is."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from localagent_cli.line import CommandLine
from localagent_cli.options import common_options

COMMANDS = {
    "ask": "Ask a model one question; the answer comes as it is made.",
    "chat": "Talk to a model.",
    "models": "List the models that can be asked.",
    "plugins": "List the plugins: what each does, where, and why.",
    "explain": "Show the steps that a request takes, in order; with a prompt, what each decided.",
    "cache": "Show what the caches hold and did, let it go, or export it.",
    "doctor": "Look for what is broken, and say what mends it.",
    "config": "Show, check or begin the settings.",
    "version": "Print the version.",
}
"""Every command of the core, with its line of help; the command ``ask`` is ``ask`` in the module ``ask``."""

EPILOG = """\
Plugins bring commands of their own: `localagent plugins` names them.

\b
Completion of commands, options and models, for the file that your shell reads:
  bash  eval "$(_LOCALAGENT_COMPLETE=bash_source localagent)"
  zsh   eval "$(_LOCALAGENT_COMPLETE=zsh_source localagent)"
  fish  _LOCALAGENT_COMPLETE=fish_source localagent | source
"""


class Commands(click.Group):
    """The commands of the core by their names, and any other name from the plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands of the core; to name those of plugins, these would have to be imported."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command of the core, or ask the plugins for one."""
        if cmd_name in COMMANDS:
            found: click.Command = getattr(importlib.import_module(f"localagent_cli.{cmd_name}"), cmd_name)
            return found
        from localagent_cli.plugin_commands import find_command

        return find_command(ctx.ensure_object(CommandLine), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is typed.

        Raises:
            click.UsageError: There is none of that name.
        """
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None:
            from localagent.plugins import find_plugins
            from localagent_cli.hints import missing_command
            from localagent_cli.plugin_commands import brought_commands

            commands = [*COMMANDS, *brought_commands(ctx.ensure_object(CommandLine))]
            mend = missing_command(name, commands, find_plugins())
            ctx.fail(f"There is no command {name}. {mend}".rstrip())
        return name, found, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, without importing one."""
        names = (CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete))
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


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
)
