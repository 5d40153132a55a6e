"""Model servers on this machine run once, however many workers there are and however often they are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from odd_plugin import installed
from processes import BODY, Process, Upstream, serving, upstream
from test_supervisor import children, watched

from localagent_testing import tiny_gguf

pytest.importorskip("localagent_provider_llamacpp")
pytest.importorskip("xllamacpp")

FULL = bool(os.environ.get("LOCALAGENT_FULL"))
SHORT = {**BODY, "max_tokens": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("models"))


def settings(folder: Path, model: Path) -> Path:
    path = folder / "localagent.toml"
    path.write_text(
        f'use = ["gateway", "connect-aiohttp", "provider-llamacpp", "failure-retry"]\nstate_folder = "{folder}/state"\n'
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
    program = b"gateway.processes.worker_main"
    return [pid for pid in children(process.pid) if program in Path(f"/proc/{pid}/cmdline").read_bytes()]


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


def with_upstream(path: Path, url: str, *, context: int, odd: str = "") -> None:
    """Write settings with the model and a server that holds requests, so that a reading of them stays in use."""
    text = path.read_text()
    model = re.search(r'model = "(.*)"', text)
    assert model is not None
    path.write_text(
        'use = ["gateway", "connect-aiohttp", "provider-llamacpp", "provider-openai", "odd"]\n'
        f'state_folder = "{path.parent}/state"\n{odd}\n'
        f'[providers.llamacpp]\nmodel = "{model[1]}"\ncontext = {context}\nthreads = 1\nbatch = 64\n'
        f'[providers.up]\ntype = "openai"\ninstances = ["{url}"]\n[plugins.gateway]\nlog = "none"\n'
    )


@contextlib.asynccontextmanager
async def held(process: Process, up: Upstream) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Begin a request that is held; give what lets it end."""
    up.hold.clear()
    up.begun.clear()
    async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
        asking = asyncio.create_task(http.post("/v1/chat/completions", json={**BODY, "model": "up/m"}))
        await up.begun.wait()

        async def end() -> None:
            up.hold.set()
            assert (await asking).status_code == 200

        yield end
        await end()


async def asked_model(process: Process) -> None:
    async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
        answer = await http.post("/v1/chat/completions", json={**SHORT, "model": "llamacpp/default"})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("workers", ["1", "2"] if FULL else ["2"])
async def test_a_reload_that_fails_ends_no_model_that_is_in_force(tmp_path: Path, model: Path, workers: str) -> None:
    """A has a request; B is in force; C cannot be; A's request ends: B's model answers, in the same process."""
    path = settings(tmp_path, model)
    environment = installed(tmp_path / "site")
    async with upstream() as up:
        with_upstream(path, up.url, context=256)
        async with serving(path, "--workers", workers, environment=environment) as process, held(process, up) as end_a:
            await asked_model(process)
            (of_a,) = models_of(process)
            with_upstream(path, up.url, context=192)
            process.signal(signal.SIGHUP)
            await process.line("The settings were read again")
            await asked_model(process)
            assert of_a in models_of(process)
            (of_b,) = set(models_of(process)) - {of_a}
            (tmp_path / "made").mkdir()
            with_upstream(path, up.url, context=128, odd=f'plugins.odd.once = "{tmp_path}/made"')
            process.signal(signal.SIGHUP)
            await process.line("the previous ones stay in force")
            with watched([of_a]) as ended:
                await end_a()
                await ended()
            for _ in range(4):
                await asked_model(process)
            assert models_of(process) == [of_b]


@pytest.mark.parametrize("workers", ["1", "2"] if FULL else ["1"])
async def test_reloads_in_a_row_end_no_model_under_its_requests(tmp_path: Path, model: Path, workers: str) -> None:
    """B's model lives as long as B has a request, also when A's last one ends while C is in force."""
    path = settings(tmp_path, model)
    async with upstream() as up_a, upstream() as up_b:
        with_upstream(path, up_a.url, context=256)
        environment = installed(tmp_path / "site")
        async with (
            serving(path, "--workers", workers, environment=environment) as process,
            held(process, up_a) as end_a,
        ):
            await asked_model(process)
            (of_a,) = models_of(process)
            with_upstream(path, up_b.url, context=192)
            process.signal(signal.SIGHUP)
            await process.line("The settings were read again")
            await asked_model(process)
            (of_b,) = set(models_of(process)) - {of_a}
            async with held(process, up_b) as end_b:
                with_upstream(path, up_b.url, context=128)
                process.signal(signal.SIGHUP)
                await process.line("The settings were read again", 2)
                with watched([of_a]) as ended:
                    await end_a()
                    await ended()
                assert of_b in models_of(process)
                with watched([of_b]) as ended:
                    await end_b()
                    await ended()
            await asked_model(process)
