"""The command line: ``localagent``.

A plugin that adds commands (``add_commands``) finds what the command line offers to it in ``current()``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from localagent_cli.line import CommandLine

__all__ = ["current", "main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``localagent`` and end the process with its exit code.

    Args:
        arguments: What is typed behind ``localagent``; None takes it from ``sys.argv``.
    """
    try:
        from localagent_cli.running import run

        code = run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while Python still imports
        code = 130
    sys.exit(code)


def current() -> CommandLine:
    """Return the command line that runs this command: its options, its terminal, and how it runs coroutines.

    Raises:
        RuntimeError: No command of ``localagent`` is running.
    """
    import click

    from localagent_cli.line import CommandLine

    line = click.get_current_context().find_object(CommandLine)
    if line is None:
        raise RuntimeError("No command of localagent is running.")
    return line
