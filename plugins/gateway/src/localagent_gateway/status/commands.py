"""Commands that query a running gateway: ``localagent stats``, ``instances`` and ``doctor --live``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from localagent import Settings
from localagent_cli import CommandLine, ProcessStatus, command
from localagent_gateway.settings import gateway_folder
from localagent_gateway.status.control_socket import nothing_serves, serving_now

WORKERS = ("Serves", "Worker", "Process", "Calls", "Streams", "Connections", "Answered", "Memory", "State")
INSTANCES = ("Serves", "Instance", "Health", "In flight", "Attempts", "Failures", "Connections", "Opened", "Reused",
             "Last error")  # fmt: skip
SUMMED = ("in_flight", "attempts", "failures")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@command("stats", help="Show the current and past work of a running gateway's workers.")
@as_json_option
def stats(line: CommandLine, as_json: bool) -> None:
    """Show the workers."""
    gateways = asked(line)
    if as_json:
        line.terminal.line(msgspec.json.encode({"gateways": gateways}).decode())
        return
    line.terminal.table(WORKERS, [_row(gateway, worker) for gateway in gateways for worker in gateway["workers"]])


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
