"""A gateway where a key of one provider is not there: it serves the others, and has the provider when the key comes."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
from processes import BODY, serving, upstream, write_settings

GONE = """
[models]
fast = ["gone/m", "up/m"]
[providers.gone]
type = "openai"
instances = ["{url}"]
keys = [{{ file = "{key}" }}]
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_gateway_serves_without_a_key(tmp_path: Path, workers: int) -> None:
    """One warning at the start; an error for its requests; after the key was added and a reload, an answer."""
    async with upstream() as up:
        key = tmp_path / "up.key"
        path = write_settings(tmp_path, up.url, GONE.format(url=up.url, key=key))
        async with serving(path, "--workers", str(workers)) as process, httpx.AsyncClient(timeout=30) as http:

            async def ask(model: str) -> httpx.Response:
                return await http.post(f"{process.url}/v1/chat/completions", json={**BODY, "model": model})

            assert (await ask("up/m")).status_code == 200
            assert sum("Provider gone is left out" in line for line in process.lines) == 1
            assert (await ask("fast")).status_code == 200
            refused = await ask("gone/m")
            assert refused.status_code >= 400
            assert "Provider gone is left out" in refused.text
            key.write_text("a-key")
            process.signal(signal.SIGHUP)
            await process.line("The settings were read again")
            async with httpx.AsyncClient(timeout=30) as http:
                assert (await ask("gone/m")).status_code == 200
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
