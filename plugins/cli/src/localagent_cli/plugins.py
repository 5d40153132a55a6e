"""``localagent plugins``: the installed plugins, their steps, and the reasons for the order of the steps."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import attrs
import click
import msgspec

from localagent.errors import StartError
from localagent.pipeline import Pipeline
from localagent.plugin_api import IMPL_ATTRIBUTE, Report, find_plugins
from localagent.settings import all_missing_keys
from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.sentences import sentence
from localagent_cli.terminal import Piece, Styled, Terminal, is_terminal, one_line

if TYPE_CHECKING:
    from localagent_cli.plugin_commands import FoundCommand

STATE_COLORS = {"active": "green", "idle": "bright_black", "failed": "red"}


@attrs.frozen
class Place:
    """A step of a plugin.

    Attributes:
        hook: The hook.
        place: 1 for the first of the hook's steps; 0 for a step that is never called.
        of: The number of steps of the hook.
        why: The reason for the step's place.
    """

    hook: str
    place: int
    of: int
    why: str

    @property
    def position(self) -> str:
        """The place in words."""
        return f"{self.place} of {self.of}" if self.place else "idle"


@attrs.frozen
class PluginView:
    """The part of a plugin that is shown.

    Attributes:
        report: The report on its state.
        places: Its steps.
        commands: The commands of its distribution.
    """

    report: Report
    places: tuple[Place, ...] = ()
    commands: tuple[str, ...] = ()


@command("plugins", help="List the plugins, their steps, and the reason for the order of the steps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plugins(line: CommandLine, as_json: bool) -> None:
    """List the plugins."""
    line.without_warnings()
    try:
        settings, pipeline, reports = line.assembled()
    except StartError:
        # The installed plugins come first, then the error with the reason why they cannot be assembled.
        _show(line.terminal, _with_commands(_installed()), as_json=as_json)
        raise
    _show(line.terminal, _with_commands(views(pipeline, reports)), as_json=as_json)
    for missing in all_missing_keys(settings, os.environ):
        line.terminal.note(sentence(missing.error), label="warning")


def views(pipeline: Pipeline, reports: Iterable[Report]) -> list[PluginView]:
    """Return the views of the plugins with their steps."""
    return [
        PluginView(report, (*_places(pipeline, report.name), *_idle_places(pipeline, report.name)))
        for report in reports
    ]  # fmt: skip


def _with_commands(shown: Iterable[PluginView]) -> list[PluginView]:
    """Return the same views with the commands, which work whether a plugin is active or not.

    Commands are added to the first plugin of their distribution. A distribution without a plugin gets its own view.
    """
    from localagent_cli.plugin_commands import find_commands

    brought: dict[str, list[FoundCommand]] = {}
    for found in find_commands().values():
        brought.setdefault(found.distribution, []).append(found)
    views = [attrs.evolve(view, commands=_names(brought.pop(view.report.distribution, ()))) for view in shown]
    for distribution, commands in brought.items():
        report = Report(distribution, distribution, commands[0].version, "active", "adds commands only")
        views.append(PluginView(report, commands=_names(commands)))
    return views


def _names(commands: Iterable[FoundCommand]) -> tuple[str, ...]:
    return tuple(command.name for command in commands)


def _places(pipeline: Pipeline, plugin: str) -> Iterator[Place]:
    for hook, steps in pipeline.steps.items():
        for number, step in enumerate(steps, 1):
            if step.plugin == plugin:
                yield Place(hook, number, len(steps), step.why)


def _idle_places(pipeline: Pipeline, plugin: str) -> Iterator[Place]:
    """Yield the steps for hooks of a plugin that is not active."""
    kind = type(pipeline.plugins.get(plugin))
    for name in dir(kind):
        marks = getattr(getattr(kind, name), IMPL_ATTRIBUTE, None)
        if marks is not None and name not in pipeline.specs:
            yield Place(name, 0, 0, f"the plugin {marks.of} is not active")


def _installed() -> list[PluginView]:
    return [
        PluginView(Report(found.name, found.distribution, found.version, "idle", "installed"))
        for found in find_plugins().values()
    ]


def _show(terminal: Terminal, shown: list[PluginView], *, as_json: bool) -> None:
    if as_json:
        terminal.line(msgspec.json.encode({"plugins": [_document(view) for view in shown]}).decode())
    elif not shown:
        terminal.note("No plugin is installed. See: localagent doctor")
    elif is_terminal(sys.stdout):
        for number, view in enumerate(shown):
            _show_block(terminal, view, first=number == 0)
    else:
        terminal.table((), [row for view in shown for row in _rows(view)])


def _document(view: PluginView) -> dict[str, object]:
    return {
        **attrs.asdict(view.report),
        "steps": [attrs.asdict(place) for place in view.places],
        "commands": view.commands,
    }


def _show_block(terminal: Terminal, view: PluginView, *, first: bool) -> None:
    if not first:
        terminal.line()
    for pieces in _block(view):
        terminal.line(*pieces)


def _block(view: PluginView) -> Iterator[tuple[Piece, ...]]:
    report = view.report
    source = f"({one_line(report.distribution)})" if report.distribution else ""
    yield Styled(report.name, bold=True), f" {report.version} {source}"
    why = one_line(f"{report.why} {report.hint}")
    yield "  ", Styled(report.state, STATE_COLORS[report.state]), f": {why}"
    hooks = max((len(place.hook) for place in view.places), default=0)
    positions = max((len(place.position) for place in view.places), default=0)
    for place in view.places:
        yield (f"  {place.hook:<{hooks}}  {place.position:<{positions}}  {place.why}",)
    if view.commands:
        yield (f"  commands: {', '.join(view.commands)}",)


def _rows(view: PluginView) -> Iterator[tuple[str, ...]]:
    """Yield a row for each step, for use in pipes; one row for a plugin without steps."""
    report = view.report
    start = (report.name, report.version, report.distribution, report.state)
    for place in view.places:
        yield (*start, place.hook, place.position, place.why)
    if not view.places:
        yield (*start, "", "", f"{report.why} {report.hint}".strip())
