"""``localagent history``: the summary of the last days."""

from __future__ import annotations

import sqlite3

import click
import msgspec

from localagent import Stats
from localagent.errors import PluginError
from localagent_cli import CommandLine, command
from localagent_metrics_summary.records import summaries
from localagent_metrics_summary.table import table

GROUPS = ("operation", "provider", "model", "instance", "tenant")


@command("history", help="Show a summary of the operations of the last days.")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=7.0, show_default=True, help="How many days.")
@click.option("--by", type=click.Choice(GROUPS), default="model", show_default=True, help="How to group them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def history(line: CommandLine, *, days: float, by: str, as_json: bool) -> None:
    """Show the summary."""
    stats = line.run(_read(line, days))
    found = summaries(stats, by)
    if as_json:
        document = {"days": days, "by": by, "summaries": found, "total": summaries(stats)[""]}
        line.terminal.line(msgspec.json.encode(document).decode())
    elif not found:
        line.terminal.line(f"No operation was recorded in {days:g} days.")
    else:
        line.terminal.table(*table(found, by))


async def _read(line: CommandLine, days: float) -> Stats:
    """Return the history from the active plugin.

    Raises:
        PluginError: The plugin is not active, keeps no history, or its file cannot be read.
    """
    from localagent_metrics_summary.plugin import SummaryPlugin

    async with line.client() as client:
        plugins = (await client.runtime()).pipeline.plugins.values()
        plugin = next((one for one in plugins if isinstance(one, SummaryPlugin)), None)
        if plugin is None:
            raise PluginError("metrics-summary is not active.", hint="Name it in use = [...].")
        if plugin.recorder is None:
            raise PluginError("No history is kept.", hint="Set history = true in [plugins.metrics-summary].")
        try:
            return await plugin.recorder.read(days)
        except sqlite3.Error as error:
            raise PluginError(f"The history cannot be read: {error}.", hint="Move the file away.") from None
