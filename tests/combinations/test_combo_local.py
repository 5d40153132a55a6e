"""Several model servers of one's own: Ollama and llama.cpp, balanced, retried and cached."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from combo_parts import ASKED, SMALL, active

from localagent import Client
from localagent_testing.real_servers import llama_server, ollama_proxy

SET = ["cache-memory", "catalog", "connect-aiohttp", "failure-retry", "provider-llamacpp", "provider-ollama",
       "provider-openai", "select-least-busy"]  # fmt: skip


async def test_a_dead_server_is_replaced_by_the_next(tiny_model: Path, tmp_path: Path) -> None:
    """An alias over Ollama, llama.cpp's server and a model of this process's own; the first two die in turn."""
    with llama_server(tiny_model) as behind, llama_server(tiny_model) as llama, ollama_proxy(behind.url) as server:
        settings = {
            "use": SET,
            "state_folder": str(tmp_path),
            "models": {"any": {"targets": [f"ollama/{server.model}", f"servers/{llama.model}",
                                           f"llamacpp/{tiny_model.stem}"]}},
            "providers": {
                "ollama": {"instances": [server.url]},
                "servers": {"type": "openai", "instances": [f"{llama.url}/v1"]},
                "llamacpp": {"model": str(tiny_model), **SMALL},
            },
        }  # fmt: skip
        assert active(settings) == set(SET)
        async with Client(settings, environment={}) as client:
            listed = {model.name for model in await client.models()}
            assert {f"servers/{llama.model}", f"llamacpp/{tiny_model.stem}"} <= listed
            answered = [(await client.chat(ASKED, model="any", max_tokens=4)).model]
            os.kill(server.pid, signal.SIGKILL)
            answered.append((await client.chat(ASKED, model="any", max_tokens=4)).model)
            os.kill(llama.pid, signal.SIGKILL)
            answered.append((await client.chat(ASKED, model="any", max_tokens=4)).model)
            assert answered == settings["models"]["any"]["targets"]  # type: ignore[index]


async def test_a_repeated_question_is_answered_from_memory(tiny_model: Path, tmp_path: Path) -> None:
    """The model is asked once."""
    settings = {
        "use": SET, "state_folder": str(tmp_path), "providers": {"llamacpp": {"model": str(tiny_model), **SMALL}}
    }  # fmt: skip
    async with Client(settings, environment={}) as client:
        first = await client.chat(ASKED, max_tokens=8, temperature=0, stop=["e"])
        again = await client.chat(ASKED, max_tokens=8, temperature=0, stop=["e"])
        assert (first.cached, again.cached, again.text) == ("", "cache-memory", first.text)
