"""Exit codes: every error has one, scripts can distinguish the reasons, and the documentation has the same codes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from localagent import errors
from localagent.errors import LocalAgentError
from localagent_cli.application import COMMANDS, localagent
from localagent_cli.exit_codes import ExitCode, exit_code

PAGE = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
MEANT = {
    ExitCode.WRONG_SETUP: {"StartError", "SettingsError", "PluginError"},
    ExitCode.LIMITED: {
        "LocalRefusal", "PoolTimeout", "CircuitOpen", "LocalRateLimited", "BudgetExceeded", "NotCached", "Draining",
        "ClientGone", "RateLimited", "QuotaExhausted", "Overloaded",
    },
    ExitCode.NO_MODEL: {"ModelNotFound"},
    ExitCode.NO_ACCESS: {"UpstreamAuth", "PermissionDenied", "NotAllowed", "Unauthenticated"},
    ExitCode.REJECTED: {"RequestRejected", "InvalidRequest", "ContextLengthExceeded", "ContentFiltered"},
    ExitCode.INCOMPLETE: {"StreamInterrupted"},
}  # fmt: skip
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LocalAgentError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code(kind: type[LocalAgentError]) -> None:
    """What no row names is a failure."""
    meant = next((code for code, names in MEANT.items() if kind.__name__ in names), ExitCode.FAILED)
    assert exit_code(kind("It went wrong.")) is meant


def test_the_page_lists_the_exit_codes() -> None:
    """The table of the reference page has a row for each, and no other."""
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == [int(code) for code in ExitCode]


def commands(group: click.Group, names: list[str], path: str = "localagent") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, list(command.commands), f"{path} {name}")


@pytest.mark.parametrize(("path", "command"), list(commands(localagent, list(COMMANDS))))
def test_the_page_has_every_command_and_option(path: str, command: click.Command) -> None:
    """Each command has a section, which lists each of its options."""
    assert re.search(rf"^#+ `{path}", PAGE, re.MULTILINE), path
    section = re.split(rf"^#+ `{path}\b.*\n", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]
    options = [name for option in command.params if not getattr(option, "hidden", False) for name in option.opts]
    assert [name for name in options if name.startswith("--") and name not in section] == []


def test_the_page_has_the_common_options() -> None:
    """They are reported once."""
    assert [name for option in localagent.params for name in option.opts if f"`{name}" not in PAGE] == []
