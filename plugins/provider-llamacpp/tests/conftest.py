"""What the tests of the model server share: a tiny model, a way to ask a server, a way to see a process end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent_provider_llamacpp.loading import Endpoint
from localagent_provider_llamacpp.settings import ModelServerSettings
from localagent_testing.tiny_gguf import tiny_gguf


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads in hundredths of a second and answers nonsense."""
    return tiny_gguf(tmp_path_factory.mktemp("model"))


@pytest.fixture
def tiny(tiny_model: Path) -> ModelServerSettings:
    """Settings for a server of the tiny model."""
    return ModelServerSettings(model=str(tiny_model), threads=1, context=512)


class Asking:
    """Asks a model server over HTTP; blocking, for ``asyncio.to_thread``."""

    @staticmethod
    def post(endpoint: Endpoint, path: str, body: bytes, key: str | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=60)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key or endpoint.key.reveal()}"}
        with contextlib.closing(connection):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    @classmethod
    def chat(cls, endpoint: Endpoint, text: str = "Hello", **more: Any) -> dict[str, Any]:
        """Return a decoded chat answer of 8 tokens at most."""
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 8, "temperature": 0} | more
        return cls.decoded(endpoint, "/v1/chat/completions", body)

    @classmethod
    def embed(cls, endpoint: Endpoint, text: str) -> list[float]:
        """Return the vector of a text."""
        vector: list[float] = cls.decoded(endpoint, "/v1/embeddings", {"input": text})["data"][0]["embedding"]
        return vector

    @classmethod
    def decoded(cls, endpoint: Endpoint, path: str, body: Any) -> dict[str, Any]:
        """Return the decoded answer of a request that must succeed."""
        status, raw = cls.post(endpoint, path, json.dumps(body).encode())
        assert status == 200, raw
        answer: dict[str, Any] = json.loads(raw)
        return answer


@pytest.fixture
def asking() -> type[Asking]:
    """How to ask a model server."""
    return Asking


class Watched:
    """A process of which the kernel tells when it has ended, also when it is not our child."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)

    def ended(self, seconds: float = 10.0) -> bool:
        """Whether it ends within some seconds."""
        return bool(select.select([self._handle], [], [], seconds)[0])

    def kill(self) -> None:
        """Kill it, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Forget it."""
        os.close(self._handle)


@pytest.fixture
def watch() -> Iterator[Any]:
    """PhaseTimer processes by their ids; whichever is left at the end of the test is killed."""
    watched: list[Watched] = []

    def begin(pid: int) -> Watched:
        watched.append(Watched(pid))
        return watched[-1]

    yield begin
    for process in watched:
        process.kill()
        process.close()


@pytest.fixture
def open_files() -> Any:
    """Counts the open file descriptors of this process."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))
