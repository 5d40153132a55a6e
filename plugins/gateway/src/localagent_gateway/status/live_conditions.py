"""How the workers are of a gateway that serves now: what ``localagent doctor --live`` looks at."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from localagent import Settings
from localagent_cli import Condition
from localagent_gateway.keys.place import keys_folder
from localagent_gateway.status.control import nothing_serves, serving_now


async def live_conditions(settings: Settings) -> list[Condition]:
    """Ask every gateway that serves from the settings' state folder, through its control socket.

    Raises:
        ConnectFailed: None serves.
    """
    gateways = await serving_now(keys_folder(settings, os.environ))
    if not gateways:
        raise nothing_serves()
    return [one for gateway in gateways for one in conditions_of(gateway)]


def conditions_of(gateway: dict[str, Any]) -> list[Condition]:
    """Return how each worker of a gateway is, those that did not answer behind the others."""
    url, process = gateway["urls"][0], gateway["process"]
    lone = [worker["process"] for worker in gateway["workers"]] == [process]
    restart = f"Start it again: process {process}." if lone else f"Run: kill -USR2 {process}"
    known = [
        msgspec.structs.replace(
            msgspec.convert(worker["condition"], Condition),
            where=f"worker {worker['worker']} of {url}",
            restart=restart,
        )
        for worker in gateway["workers"]
    ]
    silent = [
        Condition(f"process {pid} of {url}", answers=False, restart=f"Run: kill -KILL {pid}; another one is started.")
        for pid in gateway["silent"]
    ]
    return known + silent
