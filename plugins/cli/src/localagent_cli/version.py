"""``localagent version``."""

from __future__ import annotations

import localagent
from localagent_cli.line import CommandLine
from localagent_cli.options import command


def print_version(line: CommandLine) -> None:
    """Print the core's version."""
    line.terminal.line(f"localagent {localagent.__version__}")


@command("version", help="Print the version.")
def version(line: CommandLine) -> None:
    """Print the version."""
    print_version(line)
