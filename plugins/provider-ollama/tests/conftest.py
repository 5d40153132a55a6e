"""What the tests of the Ollama provider share: attempts without a network, and real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from localagent import Attempt, Call, Instance, InstanceState, Principal, Target
from localagent.records import CACHE
from localagent.records.requests import ChatRequest, CompletionRequest, EmbedRequest
from localagent.timing import NEVER, Timer
from localagent_provider_ollama.error_rules import RULES
from localagent_testing.real_servers import RealServer, llama_server, ollama_proxy
from localagent_testing.tiny_gguf import tiny_gguf

REQUESTS = {"chat": ChatRequest, "complete": CompletionRequest, "embed": EmbedRequest}
WALL = 1_700_000_000.5


@pytest.fixture(scope="session")
def attempt_of() -> Callable[..., Attempt]:
    """Makes an attempt of a call ``la-1`` at the model ``llama3.2`` of the provider ``ollama``."""

    def make(operation: str = "chat", **document: Any) -> Attempt:
        request = REQUESTS[operation](document)
        call = Call(
            id="la-1",
            request=request,
            plan=cast("Any", None),
            timer=Timer(cast("Any", None), NEVER, began=0.0),
            principal=Principal(),
            cache=CACHE,
            stream=False,
            started=0.0,
            wall_time=lambda: WALL,
        )
        instance = Instance("ollama@here", "ollama", "ollama", "http://here")
        attempt = Attempt(call, Target(instance, "llama3.2"), InstanceState(instance), request, 0.0)
        attempt.error_rules = RULES
        return attempt

    return make


@pytest.fixture(scope="session")
def real_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A real server that speaks Ollama's API, in front of llama.cpp with a tiny model."""
    with llama_server(tiny_gguf(tmp_path_factory.mktemp("model"))) as llama, ollama_proxy(llama.url) as ollama:
        yield ollama
