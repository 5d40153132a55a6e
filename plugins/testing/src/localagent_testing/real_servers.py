"""Real model servers in child processes: llama.cpp, and an Ollama-compatible proxy in front of it.

Both listen on a free port of the loopback interface, and are ready when the context is entered. Leaving it ends the
process. They block while they start, so open them in a fixture, or before an event loop runs. ::

    with llama_server(tiny_gguf(folder)) as llama, ollama_proxy(llama.url) as ollama:
        ...  # llama.url + "/v1" speaks OpenAI's API, ollama.url Ollama's

``llama_server`` needs the package ``xllamacpp``, ``ollama_proxy`` the package ``ollama-proxy-plus``.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from localagent.errors import StartError

__all__ = ["RealServer", "llama_server", "ollama_proxy"]

FROM_GROUP = "Run: uv sync --group test, or add it to the packages of your tests."
START_SECONDS = 60.0
KEPT_LINES = 50
LLAMA_READY = re.compile(r"^ready (\d+)$")
UVICORN_READY = re.compile(r"running on http://127\.0\.0\.1:(\d+)")


@attrs.frozen
class RealServer:
    """A server that is ready for requests.

    Attributes:
        url: Its base address, without a path.
        model: The name by which it knows its model.
        pid: Its process id.
    """

    url: str
    model: str
    pid: int


@contextmanager
def llama_server(
    model_path: str | os.PathLike[str], *, model: str = "tiny", context: int = 512, parallel: int = 1
) -> Iterator[RealServer]:
    """Run llama.cpp's server with a model: chats, completions and embeddings, on one thread.

    It does not reuse a prompt for the next one, so that an answer at temperature 0 does not depend on earlier requests.

    Args:
        model_path: The GGUF file.
        model: The name of the model; the server answers to any other name as well.
        context: Maximum length of a conversation in tokens.
        parallel: Maximum number of conversations at a time.

    Raises:
        StartError: ``xllamacpp`` is not installed, or the server did not start; with the last lines of its log.
    """
    _need("xllamacpp", "xllamacpp")
    order = {"path": os.fspath(model_path), "model": model, "context": context, "parallel": parallel}
    command = [sys.executable, "-m", "localagent_testing.real_servers", json.dumps(order)]
    with _Child(command, LLAMA_READY, os.environ) as child:
        yield RealServer(f"http://127.0.0.1:{child.port()}", model, child.pid)


@contextmanager
def ollama_proxy(llama_url: str, *, model: str = "tiny") -> Iterator[RealServer]:
    """Run a server with Ollama's API in front of one with OpenAI's.

    Its token counts are invented, its list also names cloud models, and it never finishes with ``length``.

    Args:
        llama_url: The address of the server behind it, without ``/v1``.
        model: The name of the model there; here it is ``local/`` and that name.

    Raises:
        StartError: ``ollama-proxy-plus`` is not installed, or the server did not start.
    """
    _need("ollama_proxy", "ollama-proxy-plus")
    name = f"local/{model}"
    command = [sys.executable, "-m", "ollama_proxy", "--host", "127.0.0.1", "--port", "0"]
    own = {"PROVIDERS_LOCAL_BASE_URL": f"{llama_url}/v1", "PROVIDERS_LOCAL_API_KEY": "none", "EXTRA_MODELS": name}
    # A proxy in the environment must not be used on the loopback interface.
    with _Child(command, UVICORN_READY, {**os.environ, "NO_PROXY": "*", "no_proxy": "*", **own}) as child:
        yield RealServer(f"http://127.0.0.1:{child.port()}", name, child.pid)


def _need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise StartError(f"A real server needs the package {package}.", hint=FROM_GROUP)


class _Child:
    """A child process that prints the port on which it listens; a context manager.

    A thread reads its output to the end, so that it never waits for a reader.

    Args:
        command: The command; it runs in an empty folder, so that it finds no files that look like its settings.
        ready: Finds the port in a line of its output.
        environment: Its environment.
    """

    def __init__(self, command: Sequence[str], ready: re.Pattern[str], environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._ready = ready
        self._port: Future[int] = Future()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder.name,
            env=dict(environment),
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {command[2]}", daemon=True)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._folder.cleanup()

    def port(self) -> int:
        """Wait until it listens and return its port.

        Raises:
            StartError: It ended, or it took longer than 60 s; with the last lines of its output.
        """
        try:
            return self._port.result(START_SECONDS)
        except (EOFError, TimeoutError) as error:
            said = "\n".join(self._lines)
            what = "did not start in time" if isinstance(error, TimeoutError) else "ended at its start"
        raise StartError(f"The server {what}. Its output:\n{said}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            found = self._ready.search(self._lines[-1])
            if found and not self._port.done():
                self._port.set_result(int(found[1]))
        if not self._port.done():
            self._port.set_exception(EOFError())


def _serve(order: Mapping[str, Any]) -> None:
    """Run llama.cpp's server until standard input closes, also if the parent process is killed."""
    server = _load(importlib.import_module("xllamacpp"), order)
    # In one write, because llama.cpp's log goes to the same pipe.
    os.write(1, f"\nready {server.listening_address.rpartition(':')[2]}\n".encode())
    sys.stdin.read()
    os._exit(0)  # an orderly stop would wait for answers that are no longer read


def _load(llama: Any, order: Mapping[str, Any]) -> Any:
    params = llama.CommonParams()
    params.model.path, params.model_alias = str(Path(order["path"])), {order["model"]}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.n_ctx = order["parallel"], order["context"] * order["parallel"]
    params.n_ubatch = order["context"]  # a text to embed must fit into one batch
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.embedding, params.pooling_type = True, llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.cache_prompt, params.fit_params, params.warmup, params.ui = False, False, False, False
    return llama.Server(params)


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
