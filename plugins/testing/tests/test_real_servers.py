"""Real servers start on ports of their own, answer, and are gone when their context is left."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent.errors import StartError
from localagent_testing import real_servers
from localagent_testing.real_servers import LLAMA_READY, RealServer, llama_server, ollama_proxy
from localagent_testing.tiny_gguf import tiny_gguf

ASK = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0}


def post(url: str, **document: Any) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        decoded: dict[str, Any] = json.load(answer)
    return decoded


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_gguf(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def llama(model: Path) -> Iterator[RealServer]:
    """llama.cpp's server with it."""
    with llama_server(model) as server:
        yield server


def test_llama_answers_chats_and_embeddings(llama: RealServer) -> None:
    """In OpenAI's API, at once after the context was entered."""
    assert len(post(f"{llama.url}/v1/embeddings", input="Hello")["data"][0]["embedding"]) == 64
    chat = post(f"{llama.url}/v1/chat/completions", **ASK)

    assert chat["model"] == llama.model == "tiny"
    assert chat["usage"]["completion_tokens"] == 4


def test_an_answer_does_not_depend_on_what_was_asked_before(llama: RealServer) -> None:
    """Of a prompt nothing is kept for the next one."""
    first, second = (post(f"{llama.url}/v1/chat/completions", **ASK) for _ in range(2))

    assert first["choices"] == second["choices"]
    assert second["timings"]["cache_n"] == 0


def test_the_proxy_speaks_ollamas_api(llama: RealServer) -> None:
    """The answer is the one of the server behind it."""
    with ollama_proxy(llama.url) as ollama:
        options = {"num_predict": 4, "temperature": 0}
        chat = post(
            f"{ollama.url}/api/chat", model=ollama.model, messages=ASK["messages"], stream=False, options=options
        )

    behind = post(f"{llama.url}/v1/chat/completions", **ASK)
    assert chat["message"]["content"] == behind["choices"][0]["message"]["content"]
    assert ollama.model == "local/tiny"


def test_a_process_is_gone_when_its_context_is_left(model: Path) -> None:
    """Also when an error leaves it."""
    with pytest.raises(KeyError), llama_server(model) as server:
        raise KeyError

    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """With the last lines of its log."""
    with (
        pytest.raises(StartError, match=r"ended at its start(?s:.*)no-such-model"),
        llama_server(tmp_path / "no-such-model.gguf"),
    ):
        pass


def test_a_server_that_does_not_start_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process ends with the attempt."""
    monkeypatch.setattr(real_servers, "START_SECONDS", 0.05)
    silent = real_servers._Child([sys.executable, "-c", "input()"], LLAMA_READY, os.environ)
    with pytest.raises(StartError, match="did not start in time"), silent as child:
        child.port()

    assert silent._process.returncode is not None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for server in (llama_server("model.gguf"), ollama_proxy("http://here")):
        with pytest.raises(StartError, match=re.escape("Run: uv sync --group test")), server:
            pass
