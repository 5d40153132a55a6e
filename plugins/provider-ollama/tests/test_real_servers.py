"""The provider and a server that somebody else wrote to Ollama's API, with a real model behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from localagent import Client
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_ollama import OllamaPlugin
from localagent_testing.real_servers import RealServer

GREEDY = {"temperature": 0, "max_tokens": 8}


@asynccontextmanager
async def client(server: RealServer) -> AsyncIterator[Client]:
    """A client whose only provider is the server."""
    async with Client(
        {"providers": {"ollama": {"instances": [server.url]}}},
        plugins=[AiohttpConnectPlugin, OllamaPlugin],
        environment={},
    ) as opened:
        yield opened


async def test_a_chat_is_answered_whole_and_streamed(real_ollama: RealServer) -> None:
    """Greedy decoding says the same both ways."""
    async with client(real_ollama) as opened:
        whole = await opened.chat("Hello", model=f"ollama/{real_ollama.model}", **GREEDY)
        async with opened.stream("Hello", model=f"ollama/{real_ollama.model}", **GREEDY) as stream:
            text = await stream.text()

    assert whole.text
    assert whole.text == text
    assert whole.finish_reason == stream.finish_reason == "stop"
    assert whole.facts["generation_seconds"] > 0
    assert whole.usage is not None
    assert stream.usage is not None


async def test_a_text_goes_on(real_ollama: RealServer) -> None:
    """Through ``/api/generate``."""
    async with client(real_ollama) as opened:
        response = await opened.complete("Once upon", model=f"ollama/{real_ollama.model}", **GREEDY)

    assert response.text


async def test_each_text_gets_its_vector(real_ollama: RealServer) -> None:
    """The same text the same, another text another, in the order of asking."""
    async with client(real_ollama) as opened:
        response = await opened.embed(["Hello", "Paris", "Hello"], model=f"ollama/{real_ollama.model}")
        first, second, third = response.vectors

    assert first == pytest.approx(third)
    assert first != pytest.approx(second)


async def test_models_and_health_are_told(real_ollama: RealServer) -> None:
    """The model is in the list, and the server is well."""
    async with client(real_ollama) as opened:
        assert f"ollama/{real_ollama.model}" in [model.name for model in await opened.models()]
        assert [state.health for state in await opened.health()] == ["healthy"]
