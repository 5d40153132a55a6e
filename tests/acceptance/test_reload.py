"""What a reload keeps and what it resets; what is reported when it succeeds in part; what a kill leaves behind."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from odd_plugin import installed
from processes import BODY, Process, Upstream, serving, upstream, write_settings
from test_supervisor import children

pytest.importorskip("localagent_cache_memory")

SHAREABLE = {**BODY, "temperature": 0}
AGAIN = "The settings were read again"
BOTH = pytest.mark.parametrize("workers", [1, 2])


def cached_settings(folder: Path, url: str, ttl: str = "1 h", **gateway: Any) -> Path:
    """Settings with a cache in memory."""
    path = write_settings(folder, url, f'[plugins.cache-memory]\nttl = "{ttl}"', **gateway)
    path.write_text(path.read_text().replace('use = ["gateway"', 'use = ["cache-memory", "gateway"'))
    return path


async def asked(process: Process, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{process.url}/v1/chat/completions", json=SHAREABLE)
    assert answer.status_code == 200, answer.text


async def filled(process: Process, up: Upstream, http: httpx.AsyncClient, workers: int) -> None:
    """Ask on new connections until every worker has answered from upstream once: it is in the cache of each."""
    while up.asked < workers:
        async with httpx.AsyncClient(timeout=30) as other:
            await asked(process, other)


@BOTH
async def test_an_unchanged_cache_keeps_its_entries(tmp_path: Path, workers: int) -> None:
    """After a reload that changed something else, no worker asks upstream for what it had."""
    async with (
        upstream() as up,
        serving(cached_settings(tmp_path, up.url), "--workers", str(workers)) as process,
        httpx.AsyncClient(timeout=30) as http,
    ):
        await filled(process, up, http, workers)
        before = children(process.pid)
        for number in (1, 2):
            cached_settings(tmp_path, up.url, drain_timeout=10 + number)
            process.signal(signal.SIGHUP)
            await process.line(AGAIN, number)
            for _ in range(10):
                async with httpx.AsyncClient(timeout=30) as other:
                    await asked(process, other)
        assert up.asked == workers
        assert workers == 1 or children(process.pid) == before
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


@BOTH
async def test_a_changed_cache_begins_anew(tmp_path: Path, workers: int) -> None:
    """After a reload that changed its own table, the first that asks is answered by upstream."""
    async with (
        upstream() as up,
        serving(cached_settings(tmp_path, up.url), "--workers", str(workers)) as process,
        httpx.AsyncClient(timeout=30) as http,
    ):
        await filled(process, up, http, workers)
        cached_settings(tmp_path, up.url, ttl="2 h")
        process.signal(signal.SIGHUP)
        await process.line(AGAIN)
        await asked(process, http)
        assert up.asked == workers + 1


def odd_settings(folder: Path, **odd: str) -> Path:
    """Settings with the plugin ``odd``; no upstream is ever asked."""
    table = "\n".join(f'{name} = "{value}"' for name, value in odd.items())
    path = write_settings(folder, "http://127.0.0.1:9/v1", f"[plugins.odd]\n{table}")
    path.write_text(path.read_text().replace('use = ["gateway"', 'use = ["odd", "gateway"'))
    return path


async def test_a_reload_that_succeeds_in_part_is_told_so(tmp_path: Path) -> None:
    """The log says which workers changed, which did not and why; all go on."""
    environment = installed(tmp_path / "site")
    async with serving(odd_settings(tmp_path), "--workers", "2", environment=environment) as process:
        odd_settings(tmp_path, once=str(tmp_path / "made"))
        process.signal(signal.SIGHUP)
        await reported_in_part(process, "The settings were read again by worker 1; worker 2 keeps the previous ones")


async def test_a_replacement_that_succeeds_in_part_is_told_so(tmp_path: Path) -> None:
    """A plugin was upgraded, and the new one starts once only: the log says which workers were replaced."""
    environment = installed(tmp_path / "site")
    async with serving(odd_settings(tmp_path), "--workers", "2", environment=environment) as process:
        module = tmp_path / "site" / "localagent_odd.py"
        module.write_text(module.read_text().replace('once: str = ""', f'once: str = "{tmp_path}/made"'))
        process.signal(signal.SIGUSR2)
        await reported_in_part(process, "Replaced: worker 1; worker 2 was not replaced")


async def reported_in_part(process: Process, word: str) -> None:
    line = await process.line("worker 1; worker 2")
    assert word in line.string
    assert "Plugin odd could not start: FileExistsError" in line.string
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
        assert (await http.get("/readyz")).status_code == 200
    process.signal(signal.SIGTERM)
    assert await process.ended() == 0
    assert not [line for line in process.lines if "in force" in line or "No worker" in line]


async def test_one_worker_cannot_be_replaced(tmp_path: Path) -> None:
    """It reports that, and what would help, and goes on."""
    async with serving(write_settings(tmp_path, "http://127.0.0.1:9/v1")) as process:
        process.signal(signal.SIGUSR2)
        line = await process.line("No worker was replaced")
        assert "--workers 2" in line.string
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
            assert (await http.get("/readyz")).status_code == 200


@BOTH
async def test_plugins_are_told_how_many_workers_there_are(tmp_path: Path, workers: int) -> None:
    """So that each may take its share of a limit, also after a reload."""
    note = tmp_path / "note"
    environment = installed(tmp_path / "site")
    async with serving(
        odd_settings(tmp_path, note=str(note)), "--workers", str(workers), environment=environment
    ) as it:
        it.signal(signal.SIGHUP)
        await it.line(AGAIN)
        assert note.read_text().split() == [str(workers)] * 2 * workers
