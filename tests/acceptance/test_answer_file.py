"""The file of answers under a gateway that is reloaded and closed, beside commands that look into it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import Process, Upstream, serving, upstream, write_settings

from localagent_testing.contracts.base import FULL, often

pytest.importorskip("localagent_cache_sqlite")

RUNS = often(1, full=20)
RELOADS = often(2, full=3)
AGAIN = "The settings were read again"
FILE = Path("state", "cache-sqlite", "answers-2.db")
LOOKS = """
import asyncio, sys
from pathlib import Path
from typing import Any
from localagent import Client
from localagent.settings import load_settings

async def main():
    settings = load_settings(Path(sys.argv[1]))
    async with Client(settings), Client(settings):
        pass

asyncio.run(main())
"""


def cached_settings(folder: Path, url: str, **gateway: Any) -> Path:
    """Write settings with the cache; other settings of the gateway make a reload change something."""
    path = write_settings(folder, url, **gateway)
    path.write_text(path.read_text().replace('use = ["gateway"', 'use = ["cache-sqlite", "gateway"'))
    return path


async def ask(process: Process, numbers: range, http: httpx.AsyncClient) -> None:
    """Ask so many different questions, each of which may be answered by a cache."""
    for number in numbers:
        body = {"messages": [{"role": "user", "content": f"Question {number}"}], "temperature": 0}
        answer = await http.post(f"{process.url}/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text


async def reported(settings: Path) -> int:
    """Return how many entries ``localagent cache stats`` tells of."""
    command = [sys.executable, "-m", "localagent_cli", "--config", str(settings), "cache", "stats", "--json"]
    stats = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await stats.communicate()
    assert stats.returncode == 0
    entries: int = json.loads(out)["caches"]["cache-sqlite"]["entries"]
    return entries


async def looked_at(settings: Path) -> None:
    """Open and close two clients in another process."""
    looking = await asyncio.create_subprocess_exec(sys.executable, "-c", LOOKS, str(settings))
    assert await looking.wait() == 0


async def stressed(folder: Path, up: Upstream, *options: str) -> int:
    """Ask, reload and look at the same time; return how many questions were asked."""
    settings = cached_settings(folder, up.url)
    asked = 0
    async with serving(settings, *options) as process, httpx.AsyncClient(timeout=30) as http:
        for reload in range(1, RELOADS + 1):
            cached_settings(folder, up.url, drain_timeout=10 + reload)
            process.signal(signal.SIGHUP)
            async with asyncio.TaskGroup() as group:
                for work in (ask(process, range(asked, asked + 30), http), reported(settings), looked_at(settings)):
                    group.create_task(work)
            await process.line(AGAIN, reload)
            await ask(process, range(asked + 30, asked + 40), http)  # after the others have closed the file
            asked += 40
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        assert not [line for line in process.lines if "cache-sqlite" in line or "answers-2.db" in line]
    return asked


@pytest.mark.parametrize("workers", [1, 2] if FULL else [2])
@pytest.mark.parametrize("run", range(RUNS))
async def test_reloads_and_commands_beside_a_gateway_lose_no_answer(run: int, workers: int, tmp_path: Path) -> None:
    """The file is whole, and a gateway that starts afterwards has every answer."""
    options = ("--workers", str(workers))
    async with upstream() as up:
        asked = await stressed(tmp_path, up, *options)
        with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert [file.name for file in (tmp_path / FILE).parent.iterdir()] == [FILE.name]
        settings = cached_settings(tmp_path, up.url)
        assert await reported(settings) == asked == up.asked
        async with serving(settings, *options) as process, httpx.AsyncClient(timeout=30) as http:
            await ask(process, range(asked), http)
        assert up.asked == asked
