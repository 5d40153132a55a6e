"""The tiny model: the same file for the same seed, and a real model server answers with it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from localagent.errors import StartError
from localagent_testing.tiny_gguf import CONTENT_VERSION, tiny_gguf, write_tiny_gguf

pytest.importorskip("gguf")
pytest.importorskip("tokenizers")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def test_the_file_is_small_and_is_a_gguf(model: Path) -> None:
    """One to two megabytes that begin with the format's magic."""
    assert model.read_bytes()[:4] == b"GGUF"
    assert 1_000_000 < model.stat().st_size < 2_000_000


def test_the_same_seed_gives_the_same_bytes_in_another_process(model: Path, tmp_path: Path) -> None:
    """Neither hash randomisation nor the number of training threads shows in the file."""
    again = tmp_path / "again.gguf"
    program = "import sys; from localagent_testing.tiny_gguf import write_tiny_gguf; write_tiny_gguf(sys.argv[1])"
    environment = os.environ | {"PYTHONHASHSEED": "1234", "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program, str(again)], check=True, env=environment)
    assert digest(again) == digest(model)


def test_another_seed_gives_another_model(model: Path, tmp_path: Path) -> None:
    """Two seeds are two models, so that a test can tell which server answered."""
    assert digest(write_tiny_gguf(tmp_path / "other.gguf", seed=1)) != digest(model)


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    """The draft is gone after success and after failure."""
    write_tiny_gguf(tmp_path / "deep" / "tiny.gguf")
    (tmp_path / "deep" / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_tiny_gguf(tmp_path / "deep" / "folder")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["folder", "tiny.gguf"]


@pytest.mark.parametrize("vocabulary", [100, 50_000])
def test_a_vocabulary_that_the_text_cannot_give_is_refused(tmp_path: Path, vocabulary: int) -> None:
    """Fewer tokens than there are bytes, or more than there are merges, is an error that names the number."""
    with pytest.raises(ValueError, match=str(vocabulary)):
        write_tiny_gguf(tmp_path / "tiny.gguf", vocabulary=vocabulary)
    assert not list(tmp_path.iterdir())


def test_a_cached_file_is_returned_as_it_is(tmp_path: Path) -> None:
    """The second call writes nothing."""
    path = tiny_gguf(tmp_path)
    before = path.stat()
    assert tiny_gguf(tmp_path) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_file_of_another_content_version_is_not_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising the content version makes every cached file stale."""
    old = tiny_gguf(tmp_path)
    monkeypatch.setattr(sys.modules[tiny_gguf.__module__], "CONTENT_VERSION", CONTENT_VERSION + 1)
    assert tiny_gguf(tmp_path) != old


@pytest.mark.parametrize("package", ["gguf", "tokenizers"])
def test_a_missing_package_is_named_with_its_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """One sentence, one command, no file."""
    monkeypatch.setitem(sys.modules, package, None)  # what Python itself does for an import that must fail
    with pytest.raises(StartError, match=f"needs the package {package}.*uv sync --group test"):
        write_tiny_gguf(tmp_path / "tiny.gguf")
    assert not list(tmp_path.iterdir())


# With a real model server ---------------------------------------------------------------------------------------------


class Server:
    """llama.cpp's own HTTP server in this process, and how long it took to load the model."""

    def __init__(self, model: Path) -> None:
        xllamacpp = pytest.importorskip("xllamacpp")
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx, params.verbosity, params.fit_params = 1024, 0, False
        params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        began = time.perf_counter()
        self._server = xllamacpp.Server(params)
        self.load_seconds = time.perf_counter() - began

    def post(self, path: str, **body: Any) -> bytes:
        connection = http.client.HTTPConnection(self._server.listening_address.removeprefix("http://"), timeout=30)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return answer.read()
        finally:
            connection.close()

    def chat(self, **more: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": "What is the capital of France?"}]
        answer: dict[str, Any] = json.loads(self.post("/v1/chat/completions", messages=messages, temperature=0, **more))
        return answer


@pytest.fixture(scope="module")
def server(model: Path) -> Server:
    return Server(model)


def test_the_real_server_loads_it_at_once(server: Server) -> None:
    """Loading takes hundredths of a second; the ceiling is generous, because the machine may be busy."""
    assert server.load_seconds < 2


def test_the_real_server_answers_a_chat_of_exactly_the_tokens_asked_for(server: Server) -> None:
    """The model never ends an answer by itself, and prompt tokens come from its own chat template."""
    answer = server.chat(max_tokens=8)
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["prompt_tokens"] > 10
    assert answer["choices"][0]["finish_reason"] == "length"


def test_answers_are_printable_ascii_and_repeat(server: Server) -> None:
    """At temperature zero the same question gets the same words, and no word is cut inside a character."""
    answers = {server.chat(max_tokens=64, cache_prompt=False)["choices"][0]["message"]["content"] for _ in range(3)}
    assert len(answers) == 1
    text = answers.pop()
    assert text.replace("\n", "").isprintable()
    assert text.isascii()


def test_the_real_server_streams(server: Server) -> None:
    """Events of a stream join to the answer that comes in one piece, and end with the terminator."""
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    raw = server.post("/v1/chat/completions", messages=messages, temperature=0, max_tokens=8, stream=True).decode()
    events = [line.removeprefix("data: ") for line in raw.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    whole = server.chat(max_tokens=8)["choices"][0]["message"]["content"]
    assert "".join(delta.get("content") or "" for delta in deltas) == whole


def test_the_real_server_gives_embeddings(server: Server) -> None:
    """Vectors of the model's width, different for different texts."""
    answer = json.loads(server.post("/v1/embeddings", input=["hello world", "the price of a token"]))
    first, second = (item["embedding"] for item in answer["data"])
    assert len(first) == len(second) == 64
    assert first != second


def test_tokens_and_text_come_back_the_same(server: Server) -> None:
    """Every byte has a token: text in any script survives tokenizing and detokenizing."""
    text = "def f(x):\n    return x  # naïve 東京 🙂\x00"
    tokens = json.loads(server.post("/tokenize", content=text))["tokens"]
    assert json.loads(server.post("/detokenize", tokens=tokens))["content"] == text
