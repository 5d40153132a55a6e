"""Model servers on this machine run once, however many workers there are and however often they are replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest
from processes import BODY, Process, serving
from test_supervisor import children, watched

from localagent.testing import tiny_gguf

pytest.importorskip("localagent_provider_llamacpp")
pytest.importorskip("xllamacpp")

SHORT = {**BODY, "max_tokens": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("models"))


def settings(folder: Path, model: Path) -> Path:
    path = folder / "localagent.toml"
    path.write_text(
        f'use = ["gateway", "provider-llamacpp", "failure-retry"]\nstate_folder = "{folder}/state"\n'
        f'[providers.llamacpp]\nmodel = "{model}"\ncontext = 256\nthreads = 1\nbatch = 64\n'
        '[plugins.gateway]\nlog = "none"\n'
    )
    return path


async def asked(process: Process, times: int = 1) -> None:
    """Ask on a new connection each time, so that any worker may answer."""
    for _ in range(times):
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
            answer = await http.post("/v1/chat/completions", json=SHORT)
            assert answer.status_code == 200, answer.text


def models_of(process: Process) -> list[int]:
    """Return the process ids of the model servers that the process runs."""
    return [pid for pid in children(process.pid) if b"llamacpp.child" in _command(pid)]


def _command(pid: int) -> bytes:
    """Return a process's command line; empty when it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def workers_of(process: Process) -> list[int]:
    return [pid for pid in children(process.pid) if b"gateway.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_workers_share_one_model_server(tmp_path: Path, model: Path) -> None:
    """The supervisor runs it, from the first request on; a rolling restart does not touch it, a kill is survived."""
    async with serving(settings(tmp_path, model), "--workers", "2") as process:
        assert models_of(process) == []
        await asked(process, 4)
        (served,) = models_of(process)
        process.signal(signal.SIGHUP)
        await process.line("The settings were read again")
        await asked(process, 4)
        assert models_of(process) == [served]
        assert [children(worker) for worker in workers_of(process)] == [[], []]
        with watched([served]) as ended:
            os.kill(served, signal.SIGKILL)
            await ended()
        while (again := models_of(process)) in ([], [served]):  # noqa: ASYNC110 - another process's children
            await asyncio.sleep(0.01)
        await asked(process, 4)
        with watched(again) as ended:
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
            await ended()


async def test_a_reload_keeps_the_model_server(tmp_path: Path, model: Path) -> None:
    """With one worker too: equal settings, the same process; other settings, another one, and the first ends."""
    path = settings(tmp_path, model)
    async with serving(path) as process:
        await asked(process)
        (first,) = models_of(process)
        process.signal(signal.SIGHUP)
        await process.line("The settings were read again")
        await asked(process)
        assert models_of(process) == [first]
        path.write_text(path.read_text().replace("context = 256", "context = 128"))
        with watched([first]) as ended:
            process.signal(signal.SIGHUP)
            await process.line("The settings were read again", 2)
            await asked(process)
            await ended()
        assert first not in models_of(process)
