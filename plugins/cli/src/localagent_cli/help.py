"""``localagent help``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import click
from click.shell_completion import CompletionItem

from localagent_cli.line import CommandLine
from localagent_cli.options import command


def _complete(context: click.Context, argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of commands, or of subcommands after the name of a group."""
    with ExitStack() as stack:
        below = _entered(stack, context.find_root(), context.params.get("words") or ())
        return below.command.shell_complete(below, incomplete) if isinstance(below.command, click.Group) else []


@command("help", help="Show the help of a command.")
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete)
def help(line: CommandLine, words: tuple[str, ...]) -> None:
    """Show the help of a command; without a name, the list of commands."""
    with ExitStack() as stack:
        context = _entered(stack, click.get_current_context().find_root(), words)
        line.terminal.line(context.get_help())


def _entered(stack: ExitStack, context: click.Context, words: Iterable[str]) -> click.Context:
    """Return the context of the command that these words name.

    Args:
        stack: Keeps the contexts open.
        context: The context in which the first word is looked up.
        words: The command's name, followed by the names of subcommands.

    Raises:
        click.UsageError: There is no command of that name.
        PluginError: The command belongs to a plugin and cannot be imported.
    """
    for word in words:
        if not isinstance(context.command, click.Group):
            context.fail(f"{context.command_path} has no subcommands.")
        name, found, _ = context.command.resolve_command(context, [word])
        if found is None:  # while a shell completes
            break
        context = stack.enter_context(click.Context(found, parent=context, info_name=name))
    return context
