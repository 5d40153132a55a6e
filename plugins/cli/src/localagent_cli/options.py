"""The common options, which every command takes, before or after the command's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from localagent_cli.line import CommandLine


def _choose(context: click.Context, option: click.Parameter, value: Any) -> None:
    if not value or option.name is None:
        return  # not given after the command's name; it may have been given before it, and then stays as it is
    context.meta[f"localagent.{option.name}"] = value  # for tab completion, where no CommandLine exists
    line = context.find_object(CommandLine)
    if line is not None:
        line.choose(option.name, value)


def common_options(*, hidden: bool) -> list[click.Parameter]:
    """Return the common options.

    Args:
        hidden: Whether the help omits them.
    """
    shared: dict[str, Any] = {"expose_value": False, "callback": _choose, "hidden": hidden, "is_eager": True}
    return [
        click.Option(["--config"], type=click.Path(path_type=Path), help="The settings file.", **shared),
        click.Option(["--verbose", "-v"], is_flag=True, help="Show progress messages.", **shared),
        click.Option(["--debug"], is_flag=True, help="Show the whole log and tracebacks.", **shared),
        click.Option(["--no-color"], is_flag=True, help="Disable colours, as NO_COLOR does.", **shared),
    ]


class Command(click.Command):
    """A command that also takes the common options."""

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        self.params += common_options(hidden=True)


def command(name: str, **fields: Any) -> Callable[[Callable[..., Any]], Command]:
    """Turn a function into a command with the common options; the function's first argument is the ``CommandLine``."""

    def decorate(function: Callable[..., Any]) -> Command:
        return click.command(name, cls=Command, **fields)(click.make_pass_decorator(CommandLine)(function))

    return decorate
