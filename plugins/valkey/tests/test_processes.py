"""Two processes share what either of them stored; two tenants share nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from valkey_servers import Server, folder_prefix

from localagent import Client
from localagent_testing import Reply, fake_provider_plugin
from localagent_valkey import ValkeyCachePlugin

SCRIPT = Path(__file__).with_name("asking_process.py")


async def asked_elsewhere(server: Server, folder: Path, *tenants: str) -> list[list[str]]:
    """Have another process ask; return tenant, who answered, and the answer."""
    command = [sys.executable, str(SCRIPT), server.url, folder_prefix(folder), *tenants]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


async def test_processes_share_and_tenants_do_not(shared_server: Server, tmp_path: Path) -> None:
    """What this one asked for tenant a the other finds for a alone; what that one asked for b this one finds for b."""
    table = {"url": shared_server.url, "prefix": folder_prefix(tmp_path), "budget": "30 s"}
    settings = {"plugins": {"cache-valkey": table}, "step_timeouts": {"cache_lookup": "30 s"}}
    plugins = [fake_provider_plugin(Reply("an answer of this process")), ValkeyCachePlugin]

    async with Client(settings, plugins=plugins, environment={}) as client:
        await client.chat("Hello.", temperature=0, tenant="a")
    elsewhere = await asked_elsewhere(shared_server, tmp_path, "a", "b")
    async with Client(settings, plugins=plugins, environment={}) as client:
        here = await client.chat("Hello.", temperature=0, tenant="b")
        nobody = await client.chat("Hello.", temperature=0)

    assert elsewhere == [
        ["a", "cache-valkey", "an answer of this process"],
        ["b", "model", "an answer of another process"],
    ]
    assert (here.cached, here.text) == ("cache-valkey", "an answer of another process")
    assert (nobody.cached, nobody.text) == ("", "an answer of this process")
