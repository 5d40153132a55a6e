"""``localagent savings``: shows what was saved, by plugin, model, tenant or day."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping
from typing import Any

import attrs
import click
import msgspec

from localagent.errors import PluginError
from localagent_cli import CommandLine, command
from localagent_metrics_savings.ledger import DAY_SECONDS, Amount, Line

COLUMNS = ("Calls", "Tokens in", "Tokens out", "Time")
FIELDS = ("plugin", "model", "tenant", "day")
NONE_YET = "Nothing was saved in {} days. None of {} calls was answered by a cache or shared another call's work."


@command("savings", help="Show the calls, tokens and time that caches and shared work saved.")
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="How many days, today included.")
@click.option("--by", type=click.Choice(FIELDS), default="plugin", show_default=True, help="How to group the figures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def savings(line: CommandLine, *, days: int, by: str, as_json: bool) -> None:
    """Show what was saved."""
    counted = line.run(_counted(line, days))
    total, spent = _sum(counted, saved=True), _sum(counted, saved=False)
    groups = _grouped(counted, by)
    if as_json:
        line.terminal.line(msgspec.json.encode(_document(days, by, groups, total, spent)).decode())
    elif not total.calls:
        line.terminal.line(NONE_YET.format(days, spent.calls))
    else:
        rows = [(name or "(none)", *_row(amount)) for name, amount in groups.items()]
        line.terminal.table((by.capitalize(), *COLUMNS), [*rows, ("(all)", *_row(total))])
        calls = total.calls + spent.calls
        line.terminal.note(f"{total.calls} of {calls} calls ({total.calls / calls:.1%}) in {days} days.", label="saved")


async def _counted(line: CommandLine, days: int) -> dict[Line, Amount]:
    """Return the amounts from the active plugin.

    Raises:
        PluginError: The plugin is not active, or its file cannot be read.
    """
    from localagent_metrics_savings.plugin import SavingsPlugin

    async with line.client() as client:
        plugins = (await client.runtime()).pipeline.plugins.values()
        plugin = next((one for one in plugins if isinstance(one, SavingsPlugin)), None)
        if plugin is None:
            raise PluginError("metrics-savings is not active, so nothing is counted.", hint="Name it in use = [...].")
        try:
            return await plugin.saved(days)
        except sqlite3.Error as error:
            raise PluginError(f"The savings cannot be read: {error}.", hint="Move the file away.") from None


def _sum(counted: Mapping[Line, Amount], *, saved: bool) -> Amount:
    total = Amount()
    for line, amount in counted.items():
        if bool(line.plugin) is saved:
            total.add(amount)
    return total


def _grouped(counted: Mapping[Line, Amount], by: str) -> dict[str, Amount]:
    """Return the saved amounts grouped by a field, sorted by its values."""
    groups: dict[str, Amount] = {}
    for line, amount in counted.items():
        if line.plugin:
            name = _date(line.day) if by == "day" else str(getattr(line, by))
            groups.setdefault(name, Amount()).add(amount)
    return dict(sorted(groups.items()))


def _date(day: int) -> str:
    return dt.datetime.fromtimestamp(day * DAY_SECONDS, dt.UTC).date().isoformat()


def _row(amount: Amount) -> tuple[str, ...]:
    return (str(amount.calls), str(amount.prompt_tokens), str(amount.completion_tokens), _time(amount.seconds))


def _time(seconds: float) -> str:
    """Return a readable duration."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _document(days: int, by: str, groups: Mapping[str, Amount], total: Amount, spent: Amount) -> dict[str, Any]:
    return {
        "days": days,
        "saved": [{by: name, **attrs.asdict(amount)} for name, amount in groups.items()],
        "total": attrs.asdict(total),
        "spent": attrs.asdict(spent),
    }
