"""``localagent version``."""

from __future__ import annotations

import localagent
from localagent.command.line import CommandLine
from localagent.command.options import command


def print_version(line: CommandLine) -> None:
    """Print the core's version."""
    line.terminal.line(f"localagent {localagent.__version__}")


@command("version", help="Print the version.")
def version(line: CommandLine) -> None:
    """Print the version."""
    print_version(line)
