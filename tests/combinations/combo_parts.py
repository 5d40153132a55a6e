"""What the named combinations share: the check of who is active, the command line, and the official clients."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai

from localagent.pipeline import assemble

ASKED = [{"role": "user", "content": "Say hello."}]
SMALL = {"context": 256, "threads": 1, "batch": 64}


def active(settings: dict[str, Any]) -> set[str]:
    """Return the names of the plugins that settings make active."""
    return set(assemble(settings, None, {})[1].plugins)


async def localagent(settings: Path, *words: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it prints."""
    command = [sys.executable, "-m", "localagent_cli", "--config", str(settings), *words]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def asked_by_openai(url: str, model: str, **more: Any) -> Any:
    """Return what the official client of OpenAI gets."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        return await client.chat.completions.create(model=model, messages=ASKED, **more)  # type: ignore[arg-type]


async def asked_by_everybody(url: str, model: str) -> Sequence[str]:
    """Return the texts that the official clients of OpenAI, Ollama and Anthropic get."""
    of_openai = await asked_by_openai(url, model, max_tokens=8)
    async with ollama.AsyncClient(url) as client:
        of_ollama = await client.chat(model, ASKED, options={"num_predict": 8})
    async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as sdk:
        of_anthropic = await sdk.messages.create(model=model, max_tokens=8, messages=ASKED)  # type: ignore[arg-type]
    return of_openai.choices[0].message.content, of_ollama.message.content or "", of_anthropic.content[0].text
