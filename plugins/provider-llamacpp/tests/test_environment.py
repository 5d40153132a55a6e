"""A model server gets the environment variables that it needs, and nobody's keys."""

from __future__ import annotations

import asyncio
from pathlib import Path

import attrs
import pytest

from localagent_provider_llamacpp.environment import for_child
from localagent_provider_llamacpp.loading import Endpoint
from localagent_provider_llamacpp.settings import ModelServerSettings
from localagent_provider_llamacpp.supervisor import ModelServer

CANARY = "canary-5b1f"
SECRETS = [
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY",
    "DATABASE_URL", "GITHUB_TOKEN", "HTTPS_PROXY", "LLAMA_API_KEY", "LLAMA_ARG_API_KEY", "LLAMA_CLOUD_API_KEY",
    "NVIDIA_API_KEY",
    "CUDA_REGISTRY_PASSWORD", "MY_OWN_VARIABLE", "VALKEY_URL", "LOCALAGENT_CONFIG", "SSH_AUTH_SOCK",
]  # fmt: skip
NEEDED = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GGML_CUDA_NO_PINNED", "LLAMA_LOG_COLORS", "OMP_NUM_THREADS",
          "MKL_NUM_THREADS", "LC_ALL", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "ROCR_VISIBLE_DEVICES", "HF_HOME",
          "SystemRoot", "Path", "XDG_CACHE_HOME"]  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_a_variable_that_it_does_not_need_is_left_out(name: str) -> None:
    """Whatever it is called; unless the settings name it."""
    assert for_child({name: "x", "PATH": "/bin"}) == {"PATH": "/bin"}
    assert for_child({name: "x"}, also=[name]) == {name: "x"}


@pytest.mark.parametrize("name", NEEDED)
def test_a_variable_that_it_needs_is_passed(name: str) -> None:
    """Also in the case that Windows gives it."""
    assert for_child({name: "x"}) == {name: "x"}


def environ(endpoint: Endpoint) -> bytes:
    return Path(f"/proc/{endpoint.pid}/environ").read_bytes()


def test_a_running_child_has_no_foreign_secret(
    tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither in what it was started with, nor while it serves."""
    for name in SECRETS:
        monkeypatch.setenv(name, f"{CANARY}-{name}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def look(settings: ModelServerSettings) -> bytes:
        async with ModelServer(settings) as server:
            return environ(await server.ready())

    shown = asyncio.run(look(tiny))
    assert CANARY.encode() not in shown
    assert f"TMPDIR={tmp_path}".encode() in shown
    named = asyncio.run(look(attrs.evolve(tiny, environment=("MY_OWN_VARIABLE",))))
    assert named.count(CANARY.encode()) == 1
