"""``localagent cache`` with a real file: a program asks, the command looks and lets go."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from localagent import Client
from localagent_cache_sqlite import SqliteCachePlugin
from localagent_testing import CANARY_PROMPT, Reply, fake_provider_plugin


async def run(folder: Path, *words: str) -> str:
    """Run ``localagent cache`` in a process and return what it prints."""
    environment = {**os.environ, "LOCALAGENT_CONFIG": str(folder / "localagent.toml")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", "cache", *words, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert CANARY_PROMPT not in (out + err).decode()
    return out.decode()


async def test_the_command_sees_what_a_running_program_has(tmp_path: Path) -> None:
    """Figures, list, export and purge, while the program's client is open; afterwards it misses."""
    (tmp_path / "localagent.toml").write_text(f'use = ["cache-sqlite"]\nstate_folder = "{tmp_path.as_posix()}"\n')
    fake = fake_provider_plugin((Reply("Red."), Reply("Blue.")))
    settings = {"state_folder": str(tmp_path)}
    async with Client(settings, plugins=[fake, SqliteCachePlugin], environment={}) as client:
        plugin = (await client.runtime()).pipeline.plugins["cache-sqlite"]
        assert isinstance(plugin, SqliteCachePlugin)
        for _ in range(3):
            response = await client.chat(CANARY_PROMPT, temperature=0, tenant="t")
            await asyncio.sleep(0)
        assert response.cached == "cache-sqlite"
        await plugin.flushed()
        figures = json.loads(await run(tmp_path, "stats", "--json"))["caches"]["cache-sqlite"]
        assert (figures["entries"], figures["where"]) == (1, str(tmp_path / "cache-sqlite" / "answers-2.db"))
        assert {key: figures["counts"][0][key] for key in ("tenant", "hits", "misses", "stored")} == {
            "tenant": "t", "hits": 2, "misses": 1, "stored": 1,
        }  # fmt: skip
        assert (await run(tmp_path, "list")).split("\t")[-1].strip() == "2"
        exported = json.loads(await run(tmp_path, "export"))
        assert exported["response"]["choices"][0]["message"]["content"] == "Red."
        assert await run(tmp_path, "purge", "--tenant", "t") == "cache-sqlite: deleted 1 answer.\n"
        assert (await client.chat(CANARY_PROMPT, temperature=0, tenant="t")).text == "Blue."
