"""``localagent savings`` beside real processes: a server with several workers, and the command line itself."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import BODY, serving, upstream, write_settings

pytest.importorskip("localagent_metrics_savings")
pytest.importorskip("localagent_cache_sqlite")

ASKED = 20


async def reported(settings: Path, *options: str) -> str:
    """Return what ``localagent savings`` prints, in a process of its own."""
    command = [sys.executable, "-m", "localagent_cli", "--config", str(settings), "savings", *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def total(books: dict[str, Any]) -> int:
    calls: int = books["total"]["calls"]
    return calls


async def test_what_workers_saved_is_told(tmp_path: Path) -> None:
    """Every call of two workers stands in the books when they have ended: as saved, or as one that a model answered."""
    async with upstream() as up:
        settings = write_settings(tmp_path, up.url)
        use = 'use = ["cache-sqlite", "metrics-savings", "gateway"'
        settings.write_text(settings.read_text().replace('use = ["gateway"', use))
        assert total(json.loads(await reported(settings, "--json"))) == 0
        async with serving(settings, "--workers", "2") as process:
            for _ in range(ASKED):
                async with httpx.AsyncClient(timeout=30) as http:
                    answer = await http.post(f"{process.url}/v1/chat/completions", json={**BODY, "temperature": 0})
                    assert answer.status_code == 200, answer.text
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
        books = json.loads(await reported(settings, "--json", "--by", "model"))
        assert books["spent"]["calls"] == up.asked
        assert total(books) == ASKED - up.asked >= ASKED / 2
        assert [line["model"] for line in books["saved"]] == ["up/m"]
        assert "cache-sqlite" in await reported(settings)
