"""The command line ``localagent``, and its public API for the commands of plugins.

A plugin adds a command with an entry point in the group ``localagent.commands``, which names a ``click.Command``::

    from localagent_cli import CommandLine, command

    @command("capital", help="Print the capital of a country.")
    @click.argument("country")
    def capital(line: CommandLine, country: str) -> None:
        line.terminal.line(...)

Names are imported on first use, so ``import localagent_cli`` stays fast.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

# The public names of each module; the imports below repeat them for type checkers.
_GIVES = {
    "exit_codes": ("ExitCode", "exit_code"),
    "findings": ("Finding", "broken", "open_to_others"),
    "interrupts": ("PressedTwice", "run_until_interrupted"),
    "line": ("CommandLine",),
    "live_processes": (
        "Diagnosed",
        "InstanceStatus",
        "LiveProcesses",
        "ProcessStatus",
        "PluginFailure",
        "Summarises",
        "process_status",
    ),
    "log": ("Log", "logs"),
    "options": ("command",),
    "sentences": ("sentence",),
    "terminal": ("Styled", "Terminal", "is_terminal"),
}
_HOME = {name: module for module, names in _GIVES.items() for name in names}

__all__ = sorted([*_HOME, "current", "main"])  # noqa: PLE0605

if TYPE_CHECKING:
    from localagent_cli.exit_codes import ExitCode as ExitCode
    from localagent_cli.exit_codes import exit_code as exit_code
    from localagent_cli.findings import Finding as Finding
    from localagent_cli.findings import broken as broken
    from localagent_cli.findings import open_to_others as open_to_others
    from localagent_cli.interrupts import PressedTwice as PressedTwice
    from localagent_cli.interrupts import run_until_interrupted as run_until_interrupted
    from localagent_cli.line import CommandLine as CommandLine
    from localagent_cli.live_processes import Diagnosed as Diagnosed
    from localagent_cli.live_processes import InstanceStatus as InstanceStatus
    from localagent_cli.live_processes import LiveProcesses as LiveProcesses
    from localagent_cli.live_processes import PluginFailure as PluginFailure
    from localagent_cli.live_processes import ProcessStatus as ProcessStatus
    from localagent_cli.live_processes import Summarises as Summarises
    from localagent_cli.live_processes import process_status as process_status
    from localagent_cli.log import Log as Log
    from localagent_cli.log import logs as logs
    from localagent_cli.options import command as command
    from localagent_cli.sentences import sentence as sentence
    from localagent_cli.terminal import Styled as Styled
    from localagent_cli.terminal import Terminal as Terminal
    from localagent_cli.terminal import is_terminal as is_terminal


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``localagent`` and end the process with its exit code.

    Args:
        arguments: The arguments after ``localagent``; None takes them from ``sys.argv``.
    """
    try:
        from localagent_cli.running import run

        code = run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while Python still imports
        code = 130
    sys.exit(code)


def current() -> CommandLine:
    """Return the command line that runs this command; it has the options and the terminal, and runs coroutines.

    Raises:
        RuntimeError: No command of ``localagent`` is running.
    """
    import click

    from localagent_cli.line import CommandLine

    line = click.get_current_context().find_object(CommandLine)
    if line is None:
        raise RuntimeError("No command of localagent is running.")
    return line


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'localagent_cli' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"localagent_cli.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
