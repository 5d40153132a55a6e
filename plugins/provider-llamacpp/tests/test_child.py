"""The program of the child process, run as its owner runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent_provider_llamacpp import child

ORDER = {
    "name": "m",
    "api_key": "k",
    "threads": 1,
    "context": 256,
    "parallel": 1,
    "batch": 64,
    "embeddings": False,
    "extra": {},
}

Begin = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start a child and give it an order."""
    children = []

    def start(**order: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "localagent_provider_llamacpp.child"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        children.append(process)
        assert process.stdin
        process.stdin.write(json.dumps(ORDER | order).encode() + b"\n")
        return process

    yield start
    for process in children:
        process.kill()
        process.wait()
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.stdout.close()


def report(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return said


def leave(process: subprocess.Popen[bytes]) -> int:
    """Close the owner's pipe; return how the child ended."""
    assert process.stdin
    process.stdin.close()
    return process.wait(timeout=10)


def test_it_reports_its_port_and_ends_when_its_owner_leaves(begin: Begin, tiny_model: Path) -> None:
    """One line with a port; then nothing keeps it but the open pipe."""
    process = begin(model=str(tiny_model))
    assert report(process).keys() == {"port"}
    assert leave(process) == 0


def test_it_ends_at_once_when_its_owner_leaves_while_it_loads(begin: Begin, tmp_path: Path) -> None:
    """Although llama.cpp holds Python's lock then: here it waits for ever for the first byte of a pipe."""
    os.mkfifo(tmp_path / "endless.gguf")
    process = begin(model=str(tmp_path / "endless.gguf"))
    with (tmp_path / "endless.gguf").open("wb"):  # returns when llama.cpp has opened the other end
        assert leave(process) == -signal.SIGIO


def test_it_ends_at_once_when_its_owner_left_before_it_began_to_load(begin: Begin, tmp_path: Path) -> None:
    """The order was given, and the pipe closed, before the child had even started."""
    os.mkfifo(tmp_path / "endless.gguf")
    assert leave(begin(model=str(tmp_path / "endless.gguf"))) in {0, -signal.SIGIO}


def test_an_owner_that_leaves_before_it_gave_an_order_is_no_error() -> None:
    """The child ends without a word."""
    command = [sys.executable, "-m", "localagent_provider_llamacpp.child"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_it_ignores_ctrl_c(begin: Begin, tiny_model: Path) -> None:
    """An interrupt at the prompt is for the owner; the child still ends by the pipe alone."""
    process = begin(model=str(tiny_model))
    report(process)
    process.send_signal(signal.SIGINT)
    assert leave(process) == 0


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ({"nonsense": 1}, "extra: llama.cpp has no parameter 'nonsense'"),
        ({"sampling.nonsense": 1}, "extra: llama.cpp has no parameter 'sampling.nonsense'"),
        ({"n_batch": "many"}, "extra: 'many' is not valid for llama.cpp's parameter 'n_batch'"),
        ({"flash_attn_type": "YES"}, "extra: 'YES' is not valid for llama.cpp's parameter 'flash_attn_type'"),
    ],
)
def test_a_wrong_parameter_is_reported_by_its_name(
    begin: Begin, tiny_model: Path, extra: dict[str, Any], error: str
) -> None:
    """Said to be a matter of the settings, not of the model."""
    process = begin(model=str(tiny_model), extra=extra)
    assert report(process) == {"error": error, "of_settings": True}


def test_parameters_of_a_group_and_enumerations_are_set_by_name(begin: Begin, tiny_model: Path) -> None:
    """A dot leads into a group; an enumeration takes the name that llama.cpp gives it."""
    extra = {"sampling.temp": 0.1, "flash_attn_type": "LLAMA_FLASH_ATTN_TYPE_DISABLED", "n_predict": 64}
    assert "port" in report(begin(model=str(tiny_model), extra=extra))


def test_a_model_that_llama_cpp_refuses_is_reported(begin: Begin, tmp_path: Path) -> None:
    """As an error that is not of the settings."""
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\x03" + b"\x00" * 60)
    said = report(begin(model=str(tmp_path / "bad.gguf")))
    assert said["error"]
    assert not said["of_settings"]


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (4, 3), (64, 8)])
def test_one_processor_is_left_to_the_owner(monkeypatch: pytest.MonkeyPatch, processors: int, threads: int) -> None:
    """One less than there are, 1 at least, 8 at most."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    assert child.sensible_threads() == threads
