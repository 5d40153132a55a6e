"""A server for the programs of a team: the gateway in several processes, a model of this machine, two caches."""

from __future__ import annotations

import signal
from pathlib import Path

from combo_parts import SMALL, asked_by_everybody, asked_by_openai
from processes import serving

SET = ["cache-memory", "cache-sqlite", "connect-aiohttp", "gateway", "provider-llamacpp"]


async def test_official_clients_get_answers_from_several_workers(tiny_model: Path, tmp_path: Path) -> None:
    """OpenAI's, Ollama's and Anthropic's; a repeated question is a hit, whichever worker it reaches."""
    path = tmp_path / "localagent.toml"
    lines = "\n".join(f"{name} = {value}" for name, value in SMALL.items())
    path.write_text(
        f'use = {SET}\nstate_folder = "{tmp_path}"\n[providers.llamacpp]\nmodel = "{tiny_model}"\n{lines}\n'
        '[plugins.gateway]\nlog = "none"\n'
    )
    model = f"llamacpp/{tiny_model.stem}"
    async with serving(path, "--workers", "2") as process:
        assert all(await asked_by_everybody(process.url, model))
        first = await asked_by_openai(process.url, model, max_tokens=4, temperature=0)
        texts = [await asked_by_openai(process.url, model, max_tokens=4, temperature=0) for _ in range(8)]
        assert {one.choices[0].message.content for one in texts} == {first.choices[0].message.content}
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
