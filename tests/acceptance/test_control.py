"""The control socket, and the commands that ask through it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
from processes import BODY, STREAM, serving, upstream, write_settings

from localagent_gateway.control import control, serving_now
from localagent_gateway.live_commands import summed


async def command(settings: Path, *words: str) -> tuple[int, str, str]:
    """Run a command of the command line; return exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent.command", "--config", str(settings), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def left_in(folder: Path) -> list[str]:
    """Return the names of the sockets in a folder."""
    return [path.name for path in folder.glob("*.sock")]


async def document(settings: Path, *words: str) -> dict[str, Any]:
    code, out, err = await command(settings, *words, "--json")
    assert code == 0, err
    (gateway,) = json.loads(out)["gateways"]
    return dict(gateway)


async def test_stats_and_instances_ask_all_workers(tmp_path: Path) -> None:
    """Calls and streams under way, answers by class, attempts of an instance summed up over two workers."""
    async with upstream() as up:
        path = write_settings(tmp_path, up.url)
        async with (
            serving(path, "--workers", "2") as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as http,
        ):
            await http.post("/v1/chat/completions", json=BODY)
            await http.get("/nowhere")
            up.hold.clear()
            async with http.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
                await up.begun.wait()
                stats = await document(path, "stats")
                instances = await document(path, "instances")
                up.hold.set()
                await answer.aread()
            code, out, _ = await command(path, "stats")
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
    workers = stats["workers"]
    assert [worker["worker"] for worker in workers] == [1, 2]
    assert stats["urls"] == [process.url]
    assert sum(worker["streams"] for worker in workers) == 1
    assert all(worker["memory"] > 10_000_000 for worker in workers)
    answered = [worker["answered"] for worker in workers]
    assert [sum(one.get(kind, 0) for one in answered) for kind in ("2xx", "4xx")] == [1, 1]
    (instance,) = instances["instances"]
    assert (instance["in_flight"], instance["attempts"]) == (1, 2)
    pool = instance["pool"]
    assert (pool["active"], pool["opened"] + pool["reused"], pool["waiting"]) == (1, 2, 0)
    assert (code, len(out.splitlines())) == (0, 2)
    assert left_in(tmp_path / "state/gateway") == []


async def test_one_worker_answers_too(tmp_path: Path) -> None:
    """The same commands, the same answer."""
    async with upstream() as up:
        path = write_settings(tmp_path, up.url)
        async with serving(path) as process:
            (worker,) = (await document(path, "stats"))["workers"]
            assert worker["process"] == process.pid
            assert (await document(path, "instances"))["instances"][0]["in_flight"] == 0


async def test_nothing_that_serves_is_one_sentence(tmp_path: Path) -> None:
    """It says so, and how to start one."""
    path = write_settings(tmp_path, "http://127.0.0.1:9/v1")
    for name in ("stats", "instances"):
        code, out, err = await command(path, name)
        assert (code, out) == (1, "")
        assert "No gateway serves now." in err
        assert "localagent serve" in err


async def test_only_the_user_can_ask(tmp_path: Path) -> None:
    """The socket's mode is 0600, that of its folder 0700; it goes with the gateway."""
    folder = tmp_path / "gateway"

    async def gather() -> list[dict[str, Any]]:
        return []

    async with control(folder, ["http://here"], gather):
        (path,) = folder.iterdir()
        assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
        (told,) = await serving_now(folder)
        assert told["urls"] == ["http://here"]
    assert list(folder.iterdir()) == []


async def test_the_socket_of_a_killed_gateway_is_removed(tmp_path: Path) -> None:
    """Nobody answers there any more."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "serve-1.sock"))
    left.close()
    assert await serving_now(tmp_path) == []
    assert left_in(tmp_path) == []


async def test_a_path_that_is_too_long_is_a_warning(tmp_path: Path, caplog: Any) -> None:
    """A gateway serves without its control socket rather than not at all."""

    async def gather() -> list[dict[str, Any]]:
        return []

    async with control(tmp_path / ("x" * 120), [], gather):
        assert "There is no control socket" in caplog.text


def test_an_instance_is_summed_up_and_seen_at_its_worst() -> None:
    """Counts add up; the worker that saw it fail says how it is."""
    well = {"instance": "a", "health": "healthy", "in_flight": 1, "attempts": 2, "failures": 0, "error": ""}
    sick = {"instance": "a", "health": "unhealthy", "in_flight": 0, "attempts": 3, "failures": 3, "error": "refused"}
    pools: list[dict[str, int]] = [{"active": 1, "idle": 2}, {"active": 3, "idle": 0}, {}]
    workers = [{"instances": [{**one, "pool": pool}]} for one, pool in zip((well, sick, well), pools, strict=True)]
    (seen,) = summed(workers)
    assert seen == {**sick, "in_flight": 2, "attempts": 7, "pool": {"active": 4, "idle": 2}}
