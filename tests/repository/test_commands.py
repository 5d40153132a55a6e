"""The commands of this repository's plugins: listed without an import, with the line that click would show."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import click
import pytest

from localagent_cli.plugin_commands import find_commands, listed_commands

COMMANDS = sorted(entry_points(group="localagent.commands"), key=lambda point: point.name)
SHOW_MODULES = """
import sys
from localagent_cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("point", COMMANDS, ids=lambda point: point.name)
def test_the_line_is_what_click_shows(point: EntryPoint) -> None:
    """What is read from the source is what the imported command says."""
    command = point.load()
    assert isinstance(command, click.Command)
    assert command.name == point.name
    assert listed_commands()[point.name] == command.get_short_help_str(limit=1000) != ""


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)], ids=" ".join)
def test_the_list_imports_no_plugin(arguments: tuple[str, ...]) -> None:
    """Nor the HTTP library, nor rich; every command is in it."""
    program = [sys.executable, "-c", SHOW_MODULES, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stderr.split()}
    heavy = {"aiohttp", "rich"} | {point.module.partition(".")[0] for point in COMMANDS}

    assert {"localagent_gateway", "localagent_metrics_savings"} <= heavy
    assert packages & heavy == set()
    assert [name for name in find_commands() if f"\n  {name} " not in done.stdout] == []
