"""Commands that query a running gateway: ``localagent stats``, ``instances`` and ``doctor --live``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from localagent import Histogram, Sample, Settings, Stats
from localagent.errors import PluginError
from localagent.plugin_api import install
from localagent_cli import CommandLine, ProcessStatus, Summarises, command, is_terminal
from localagent_gateway.settings import gateway_folder
from localagent_gateway.status.control_socket import nothing_serves, serving_now

WORKERS = ("Serves", "Worker", "Process", "Calls", "Streams", "Connections", "Answered", "Memory", "State")
INSTANCES = ("Serves", "Instance", "Health", "In flight", "Attempts", "Failures", "Connections", "Opened", "Reused",
             "Last error")  # fmt: skip
GROUPS = ("operation", "provider", "model", "instance", "tenant")
LIVE_SECONDS = 1.0
SUMMED = ("in_flight", "attempts", "failures")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@command("stats", help="Show the current and past work of a running gateway: its workers, and a summary.")
@click.option("--by", type=click.Choice(GROUPS), help="Show only the summary, grouped by this.")
@click.option("--live", is_flag=True, help="Show it again every second, until Ctrl-C.")
@as_json_option
def stats(line: CommandLine, *, by: str | None, live: bool, as_json: bool) -> None:
    """Show the workers, and what a plugin sums up."""
    if live and (as_json or not is_terminal(sys.stdout)):
        raise click.UsageError("--live needs a terminal and no --json.")
    gateways = asked(line)
    if as_json:
        for gateway in gateways:
            gateway["stats"] = [*map(_as_object, _stats_of(gateway))]
        line.terminal.line(msgspec.json.encode({"gateways": gateways}).decode())
        return
    summing = [plugin for plugin in line.assembled().pipeline.plugins.values() if isinstance(plugin, Summarises)]
    if by is not None and not summing:
        raise PluginError("No active plugin sums up operations.", hint=install("localagent-metrics-summary"))
    if live:
        line.terminal.live(lambda: _tables(asked(line), summing, by, drawn=True), LIVE_SECONDS)
        return
    for columns, rows in _tables(gateways, summing, by, drawn=is_terminal(sys.stdout)):
        line.terminal.table(columns, rows)


def _tables(gateways: Sequence[dict[str, Any]], summing: Sequence[Summarises], by: str | None, *, drawn: bool) -> Any:
    """Yield the tables: the workers, and the summaries if they are drawn below it or were asked for."""
    if by is None:
        yield WORKERS, [_row(gateway, worker) for gateway in gateways for worker in gateway["workers"]]
    if by is not None or drawn:
        merged = Stats(sample for gateway in gateways for sample in _stats_of(gateway))
        for plugin in summing:
            yield plugin.stats_table(merged, by or "model")


def _stats_of(gateway: dict[str, Any]) -> Stats:
    return Stats.from_builtins(gateway["stats"])


def _as_object(sample: Sample) -> dict[str, Any]:
    """Return a sample as one JSON object; of a histogram its count, sum and percentiles."""
    one, value = sample.instrument, sample.value
    shown: Any = value
    if isinstance(value, Histogram):
        shares = {f"p{round(share * 100)}": value.percentile(share) for share in (0.5, 0.9, 0.95, 0.99)}
        shown = {"count": value.count, "sum": value.sum, **shares, "max": value.most}
    labels = dict(zip(one.labels, sample.labels, strict=True))
    return {"name": one.name, "kind": one.kind, "unit": one.unit, "labels": labels, "value": shown}


@command("instances", help="Show the instances of a running gateway, summed over its workers.")
@as_json_option
def instances(line: CommandLine, as_json: bool) -> None:
    """Show the instances."""
    gateways = [
        {"process": gateway["process"], "urls": gateway["urls"], "instances": summed(gateway["workers"])}
        for gateway in asked(line)
    ]
    if as_json:
        line.terminal.line(msgspec.json.encode({"gateways": gateways}).decode())
        return
    rows = [_instance_row(gateway, one) for gateway in gateways for one in gateway["instances"]]
    line.terminal.table(INSTANCES, rows)


def asked(line: CommandLine) -> list[dict[str, Any]]:
    """Return the report of every running gateway with this state folder.

    Raises:
        ConnectFailed: No gateway is running.
    """
    gateways = asyncio.run(serving_now(gateway_folder(line.settings(), os.environ)))
    if not gateways:
        raise nothing_serves()
    return gateways


def summed(workers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each instance once: counts summed; health and last error from a worker that reports an error, if any."""
    found: dict[str, dict[str, Any]] = {}
    for worker in workers:
        for seen in worker["instances"]:
            known = found.setdefault(seen["instance"], {**seen, **dict.fromkeys(SUMMED, 0), "pool": {}})
            known.update({name: known[name] + seen[name] for name in SUMMED})
            known["pool"].update({name: known["pool"].get(name, 0) + count for name, count in seen["pool"].items()})
            if seen["error"] and not known["error"]:
                known.update(health=seen["health"], error=seen["error"])
    return list(found.values())


def _row(gateway: dict[str, Any], worker: dict[str, Any]) -> Sequence[str]:
    answered = " ".join(f"{kind}={count}" for kind, count in sorted(worker["answered"].items()))
    return (
        gateway["urls"][0], str(worker["worker"]), str(worker["process"]), str(worker["calls"]),
        str(worker["streams"]), str(worker["connections"]), answered or "-",
        f"{worker['memory'] / 1024**2:.0f} MiB", "draining" if worker["draining"] else "serving",
    )  # fmt: skip


def _instance_row(gateway: dict[str, Any], one: dict[str, Any]) -> Sequence[str]:
    counts = [str(one[name]) for name in SUMMED]
    return (gateway["urls"][0], one["instance"], one["health"], *counts, *_pool_row(one["pool"]), one["error"] or "-")


def _pool_row(pool: dict[str, float]) -> Sequence[str]:
    """Return the columns of an instance's connections; hyphens before the first attempt."""
    if not pool:
        return "-", "-", "-"
    waiting = f", {pool['waiting']} waited for" if pool["waiting"] else ""
    now = f"{pool['active']} of {pool['limit']}, {pool['idle']} idle{waiting}"
    return now, f"{pool['opened']} ({pool['handshakes']} TLS)", str(pool["reused"])


async def live_statuses(settings: Settings) -> list[ProcessStatus]:
    """Query every running gateway with the settings' state folder, through its control socket.

    Raises:
        ConnectFailed: No gateway is running.
    """
    gateways = await serving_now(gateway_folder(settings, os.environ))
    if not gateways:
        raise nothing_serves()
    return [one for gateway in gateways for one in statuses_of(gateway)]


def statuses_of(gateway: dict[str, Any]) -> list[ProcessStatus]:
    """Return the status of each worker of a gateway; those that did not answer come last."""
    url, process = gateway["urls"][0], gateway["process"]
    lone = [worker["process"] for worker in gateway["workers"]] == [process]
    restart = f"Start it again: process {process}." if lone else f"Run: kill -USR2 {process}"
    known = [
        msgspec.structs.replace(
            msgspec.convert(worker["state"], ProcessStatus),
            where=f"worker {worker['worker']} of {url}",
            restart=restart,
        )
        for worker in gateway["workers"]
    ]
    silent = [
        ProcessStatus(f"process {pid} of {url}", answers=False, restart=f"Run: kill -KILL {pid}; a new one is started.")
        for pid in gateway["silent"]
    ]
    return known + silent
