"""Several machines: gateways that share their cache in a Valkey server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from combo_parts import ASKED
from processes import serving
from stage import TEXT, openai

from localagent_testing import FaultServer

SET = ["cache-memory", "cache-valkey", "connect-fast", "failure-retry", "gateway", "provider-openai",
       "select-least-busy"]  # fmt: skip


def settings(folder: Path, upstream: str, valkey: str) -> Path:
    """Write the settings of one machine."""
    folder.mkdir()
    path = folder / "localagent.toml"
    path.write_text(
        f'use = {SET}\nstate_folder = "{folder}"\n[providers.up]\ntype = "openai"\ninstances = ["{upstream}/v1"]\n'
        f'[plugins.cache-valkey]\nurl = "{valkey}"\nprefix = "cluster:"\nbudget = "10 s"\n'
        '[plugins.gateway]\nlog = "none"\n'
    )
    return path


async def test_what_one_machine_was_answered_another_knows(valkey: str, tmp_path: Path) -> None:
    """The model is asked once; the second machine says that its answer is a hit."""
    body = {"model": "up/m", "messages": ASKED, "temperature": 0}
    async with (
        FaultServer(openai) as server,
        serving(settings(tmp_path / "one", server.url, valkey)) as one,
        serving(settings(tmp_path / "two", server.url, valkey)) as two,
        httpx.AsyncClient(timeout=30) as http,
    ):
        first = await http.post(f"{one.url}/v1/chat/completions", json=body)
        for _ in range(100):  # an answer is kept behind its caller's back
            again = await http.post(f"{two.url}/v1/chat/completions", json={**body})
            if "cache-status" in again.headers:
                break
            await asyncio.sleep(0.05)
        assert [one.json()["choices"][0]["message"]["content"] for one in (first, again)] == [TEXT] * 2
        assert "hit" in again.headers["cache-status"]
