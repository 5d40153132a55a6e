"""Every instrument of the core and of the plugins: what can be seen at ``/metrics`` and by ``Client.stats``."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator

from front_page import ROOT, described

from localagent import Instrument, Plugin
from localagent.reporting import CORE_INSTRUMENTS, PROCESS_INSTRUMENTS
from localagent_metrics_prometheus.exposition import PREFIX

INTRODUCTION = f"""# Metrics

What the core and the plugins report of themselves, as [`Client.stats`](api/localagent.md) returns it, and as
metrics-prometheus shows it at `/metrics`.

A program reads `(await client.stats()).value("cache.hits", plugin="cache-memory")`. Prometheus sees the same counter as
`{PREFIX}cache_hits_total{{plugin="cache-memory"}}`: prefix, unit, and `_total` for counters.

| rule | |
|---|---|
| names | lower case; words joined by dots and underscores, as in OpenTelemetry |
| units | `seconds`, `bytes`, `tokens`, `ratio`; a plain count has none |
| labels | names from the settings and codes of errors, never a user's text |
| labels in *italics* | may have many values; exporters leave them out by default |
| several processes | values add up; of those marked *max*, the largest one counts |
| counters | only grow; they start at zero with their process |
"""


def page() -> str:
    """Return the page."""
    return "\n\n".join([INTRODUCTION.rstrip(), *sections()]) + "\n"


def sections() -> Iterator[str]:
    """Yield a section for the core, and one for each plugin that reports anything."""
    yield section("The core", (*CORE_INSTRUMENTS, *PROCESS_INSTRUMENTS))
    for name, instruments in reported():
        yield section(name, instruments)


def reported() -> Iterator[tuple[str, tuple[Instrument, ...]]]:
    """Yield the plugins that report anything, with their instruments."""
    for one in described():
        project = tomllib.loads((ROOT / one.folder / "pyproject.toml").read_text())["project"]
        for name, place in project.get("entry-points", {}).get("localagent", {}).items():
            module, _, attribute = place.partition(":")
            kind: type[Plugin] = getattr(importlib.import_module(module), attribute)
            if kind.instruments:
                yield name, kind.instruments


def section(name: str, instruments: tuple[Instrument, ...]) -> str:
    """Return the table of some instruments."""
    head = f"## {name}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(map(row, instruments))


def row(one: Instrument) -> str:
    """Return the line of an instrument."""
    kind = ", ".join(filter(None, (one.kind, one.unit, "*max*" if one.merge == "max" else "")))
    labels = ", ".join(f"*{label}*" if label in one.detail else label for label in one.labels)
    return f"| `{one.name}` | {kind} | {labels} | {one.description.replace('``', '`')} |"
