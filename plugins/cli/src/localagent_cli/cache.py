"""``localagent cache``: shows, purges and exports the contents of caches. It never shows requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from localagent.errors import PluginError, UpstreamProtocol
from localagent.records import CacheContents, CacheStats, EntryFilter, EntryInfo
from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.request_options import Duration

if TYPE_CHECKING:
    from localagent import CacheEntry

F = TypeVar("F", bound=Callable[..., Any])
Caches = dict[str, CacheContents]

FIGURES = ("Cache", "Entries", "Size", "Room", "Hits", "Misses", "Hit ratio", "Where")
COUNTS = ("Cache", "Model", "Tenant", "Hits", "Misses", "Stored", "Evicted", "Expired", "Too large")
ENTRIES = ("Cache", "Key", "Model", "Tenant", "Age", "Size", "Hits")
OF_PROCESS = "{} is in the memory of each process; the entries of other processes, such as a server, are not shown."
KEY_DIGITS = 12
UNITS = ("B", "KiB", "MiB", "GiB")


@click.group("cache", help="Show, purge or export the contents of the caches.")
def cache() -> None:
    """Group the commands about caches."""


def _choosing(function: F) -> F:
    """Add the options that select entries."""
    for option in (
        click.option("--cache", "name", metavar="NAME", help="Only this cache plugin."),
        click.option("--older", type=Duration(), default=0.0, help='Only answers at least this old, such as "7 d".'),
        click.option("--tenant", help="Only answers for this tenant."),
        click.option("--model", metavar="NAME", help="Only answers of this model, as provider/name."),
    ):
        function = option(function)
    return function


@command("stats", help="Show how full each cache is and how often it answered.")
@click.option("--models", is_flag=True, help="Show the counts of each model and tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stats(line: CommandLine, *, models: bool, as_json: bool) -> None:
    """Show how full each cache is and how often it answered."""
    figures = line.run(_figures(line))
    if as_json:
        line.terminal.line(msgspec.json.encode({"caches": figures}).decode())
    elif models:
        rows = [
            (name, one.model or "(others)", one.tenant, *map(str, msgspec.structs.astuple(one)[2:]))
            for name, figure in figures.items()
            for one in figure.counts
        ]
        line.terminal.table(COUNTS, rows)
    else:
        line.terminal.table(FIGURES, [_figures_row(name, one) for name, one in figures.items()])
    _note_memory(line, figures)


@command("list", help="List the entries: key, model, tenant, age, size, hits; never a request or answer.")
@_choosing
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, with full keys.")
def list_entries(
    line: CommandLine, *, model: str | None, tenant: str | None, older: float, name: str | None, as_json: bool
) -> None:
    """List the entries."""
    kept = line.run(_listed(line, name, EntryFilter(model, tenant, older)))
    if as_json:
        for where, one in kept:
            line.terminal.line(msgspec.json.encode({"cache": where, **msgspec.structs.asdict(one)}).decode())
    else:
        line.terminal.table(ENTRIES, [_entry_row(where, one) for where, one in kept])


@command("purge", help="Delete cached answers: by model, tenant or age, or all.")
@_choosing
@click.option("--all", "everything", is_flag=True, help="All answers.")
def purge(
    line: CommandLine, *, model: str | None, tenant: str | None, older: float, name: str | None, everything: bool
) -> None:
    """Delete cached answers."""
    entry_filter = EntryFilter(model, tenant, older)
    if everything == (entry_filter != EntryFilter()):
        raise click.UsageError("Select answers with --model, --tenant or --older, or all of them with --all.")
    for where, gone in line.run(_purged(line, name, entry_filter)).items():
        line.terminal.line(f"{where}: deleted {gone} {'answer' if gone == 1 else 'answers'}.")


@command("export", help="Print cached answers, one JSON object per line, for a file or another program.")
@_choosing
def export(line: CommandLine, *, model: str | None, tenant: str | None, older: float, name: str | None) -> None:
    """Print cached answers."""
    line.run(_export(line, name, EntryFilter(model, tenant, older)))


@asynccontextmanager
async def _caches(line: CommandLine, name: str | None = None) -> AsyncIterator[Caches]:
    """Open the active caches whose contents can be read.

    Raises:
        PluginError: There is no such cache, or none of this name.
    """
    async with line.client() as client:
        plugins = (await client.runtime()).pipeline.plugins
        found: Caches = {one: plugin for one, plugin in plugins.items() if isinstance(plugin, CacheContents)}
        if not found:
            raise PluginError("No active plugin is a cache with readable contents.", hint="See: localagent plugins")
        if name is not None and name not in found:
            raise PluginError(f"There is no cache {name}.", hint=f"Available: {', '.join(found)}.")
        yield {name: found[name]} if name is not None else found


async def _figures(line: CommandLine) -> dict[str, CacheStats]:
    async with _caches(line) as caches:
        return {name: await one.cache_stats() for name, one in caches.items()}


async def _listed(line: CommandLine, name: str | None, entry_filter: EntryFilter) -> list[tuple[str, EntryInfo]]:
    async with _caches(line, name) as caches:
        return [(where, kept) for where, one in caches.items() async for kept in one.cache_entries(entry_filter)]


async def _purged(line: CommandLine, name: str | None, entry_filter: EntryFilter) -> dict[str, int]:
    async with _caches(line, name) as caches:
        return {where: await one.cache_purge(entry_filter) for where, one in caches.items()}


async def _export(line: CommandLine, name: str | None, entry_filter: EntryFilter) -> None:
    async with _caches(line, name) as caches:
        for where, one in caches.items():
            async for entry in one.cache_export(entry_filter):
                line.terminal.line(msgspec.json.encode(_exported(where, entry)).decode())


def _exported(where: str, entry: CacheEntry) -> dict[str, Any]:
    try:
        document = entry.response.document
    except UpstreamProtocol:  # a server's answer that is not valid JSON
        document = None
    return {
        "cache": where,
        "key": entry.key.digest.hex(),
        "model": entry.key.model,
        "tenant": entry.key.tenant,
        "stored": entry.stored,
        "response": document,
        "events": None if entry.events is None else [event.decode(errors="replace") for event in entry.events],
    }


def _note_memory(line: CommandLine, figures: dict[str, CacheStats]) -> None:
    for name in (name for name, one in figures.items() if not one.where):
        line.terminal.note(OF_PROCESS.format(name))


def _figures_row(name: str, one: CacheStats) -> Sequence[str]:
    hits, misses = sum(count.hits for count in one.counts), sum(count.misses for count in one.counts)
    ratio = f"{hits / (hits + misses):.1%}" if hits + misses else ""
    room = "" if one.max_size is None else _size(one.max_size)
    return (name, str(one.entries), _size(one.size), room, str(hits), str(misses), ratio, one.where)


def _entry_row(where: str, one: EntryInfo) -> Sequence[str]:
    age = f"{one.age:.0f} s"
    return (where, one.digest[:KEY_DIGITS], one.model, one.tenant, age, _size(one.size), str(one.hits))


def _size(size: float) -> str:
    """Return a readable size: two or three digits and a unit."""
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"


for _command in (stats, list_entries, purge, export):
    cache.add_command(_command)
