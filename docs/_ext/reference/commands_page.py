"""The commands of ``localagent``, from the commands themselves: usage, arguments, options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from localagent_cli import CommandLine, Terminal, logs
from localagent_cli.application import localagent as application

INTRODUCTION = """# Commands

Every command of `localagent`, as its `--help` describes it; a command of a plugin is there where the plugin is
installed. [The command line](command-line.md) explains exit codes, output and configuration."""


def page() -> str:
    """Return the page."""
    sections = [section(command, context) for command, context in commands() if context.parent is not None]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


def commands(width: int | None = None) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield ``localagent`` and each command below it, those of plugins included, with a context to print its help.

    Args:
        width: Characters of a line of help; None for click's own choice.
    """
    terminal = Terminal()
    shown: dict[str, Any] = {"info_name": "localagent", "terminal_width": width, **application.context_settings}
    with logs(terminal) as log, click.Context(application, obj=CommandLine(terminal, log), **shown) as top:
        yield from _with_inner(application, top)


def _with_inner(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            with click.Context(inner, info_name=name, parent=context, terminal_width=context.terminal_width) as below:
                yield from _with_inner(inner, below)


def section(command: click.Command, context: click.Context) -> str:
    """Return what there is to know of one command."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {context.command_path}", f"```text\n{usage}\n```", " ".join((command.help or "").split())]
    rows = [row for one in command.get_params(context) if (row := option(one, context))]
    if rows:
        parts.append("\n".join(["| option | what it does |", "|---|---|", *rows]))
    return "\n\n".join(part for part in parts if part)


def option(parameter: click.Parameter, context: click.Context) -> str:
    """Return the row of an option; empty for an argument, and for the help that every command has."""
    record = parameter.get_help_record(context)
    if record is None or not isinstance(parameter, click.Option) or "--help" in parameter.opts:
        return ""
    name, what = (" ".join(text.split()).replace("|", "\\|") for text in record)
    return f"| `{name}` | {what} |"
