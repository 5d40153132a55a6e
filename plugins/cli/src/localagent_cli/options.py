"""The options that every command takes, in front of the command's name and behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from localagent_cli.line import CommandLine


def _choose(context: click.Context, option: click.Parameter, value: Any) -> None:
    if not value or option.name is None:
        return  # not given is no choice: it must not take back what was said in front of the command's name
    context.meta[f"localagent.{option.name}"] = value  # all that there is while a shell completes
    line = context.find_object(CommandLine)
    if line is not None:
        line.choose(option.name, value)


def common_options(*, hidden: bool) -> list[click.Parameter]:
    """Return the options that every command takes.

    Args:
        hidden: Whether the help leaves them out.
    """
    shared: dict[str, Any] = {"expose_value": False, "callback": _choose, "hidden": hidden, "is_eager": True}
    return [
        click.Option(["--config"], type=click.Path(path_type=Path), help="The settings file.", **shared),
        click.Option(["--verbose", "-v"], is_flag=True, help="Say what is done.", **shared),
        click.Option(["--debug"], is_flag=True, help="Show the whole log, and tracebacks.", **shared),
        click.Option(["--no-color"], is_flag=True, help="No colours; so does the variable NO_COLOR.", **shared),
    ]


class Command(click.Command):
    """A command that takes the common options, too."""

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        self.params += common_options(hidden=True)


def command(name: str, **fields: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command that takes the common options; its first argument is the ``CommandLine``."""

    def decorate(function: Callable[..., Any]) -> Command:
        return click.command(name, cls=Command, **fields)(click.make_pass_decorator(CommandLine)(function))

    return decorate
