"""The control socket, and the commands that ask through it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
from odd_plugin import installed
from processes import BODY, STREAM, serving, upstream, write_settings
from test_supervisor import children

from localagent_cli import ProcessStatus
from localagent_cli.server_findings import of_process
from localagent_gateway.status.commands import summed
from localagent_gateway.status.control_socket import control, serving_now


async def command(settings: Path, *words: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command of the command line; return exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", "--config", str(settings), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **(environment or {})},
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
    """The message says that there is no gateway, and how to start one."""
    path = write_settings(tmp_path, "http://127.0.0.1:9/v1")
    for name in ("stats", "instances"):
        code, out, err = await command(path, name)
        assert (code, out) == (1, "")
        assert "No gateway is running." in err
        assert "localagent serve" in err


async def test_only_the_user_can_ask(tmp_path: Path) -> None:
    """The socket's mode is 0600, that of its folder 0700; it goes with the gateway."""
    folder = tmp_path / "gateway"

    async def gather() -> dict[str, Any]:
        return {"workers": [], "silent": []}

    async with control(folder, ["http://here"], gather):
        (path,) = folder.iterdir()
        assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
        (reported,) = await serving_now(folder)
        assert reported["urls"] == ["http://here"]
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

    async def gather() -> dict[str, Any]:
        return {"workers": [], "silent": []}

    async with control(tmp_path / ("x" * 120), [], gather):
        assert "cannot be created" in caplog.text


async def findings(settings: Path, environment: dict[str, str] | None = None) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code of ``doctor --live``, and its findings by subject."""
    code, out, err = await command(settings, "doctor", "--live", "--json", environment=environment)
    assert err == ""
    return code, {finding["subject"]: finding for finding in json.loads(out)["findings"]}


async def test_doctor_sees_every_worker(tmp_path: Path) -> None:
    """Versions, instances, failures that harmed no answer: of each of two workers, and of none that was not there."""
    environment = installed(tmp_path / "site")
    async with upstream() as up:
        path = write_settings(tmp_path, up.url, "[plugins.odd]\nfail = true")
        path.write_text(path.read_text().replace('use = ["gateway"', 'use = ["odd", "gateway"'))
        async with (
            serving(path, "--workers", "2", environment=environment) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as http,
        ):
            well, before = await findings(path, environment)
            await http.post("/v1/chat/completions", json=BODY)
            code, found = await findings(path, environment)
    ours = [f"worker {number} of {process.url}" for number in (1, 2)]
    assert well == 0
    assert {finding["level"] for finding in before.values()} == {"ok"}
    assert all("odd 1.2.3" in before[one]["text"] for one in ours)
    assert {subject for subject in before if ", instance" not in subject} == set(ours)
    assert len(before) == 4
    (new,) = found.keys() - before.keys()
    assert (code, new.partition(", ")[2], found[new]["level"]) == (1, "plugin odd", "broken")
    assert "Failures in record_metric: 1" in found[new]["text"]


async def test_doctor_sees_nothing_that_serves(tmp_path: Path) -> None:
    """The caller gets an error with a fix; without a plugin that serves nothing answers, either."""
    path = write_settings(tmp_path, "http://127.0.0.1:9/v1")
    code, found = await findings(path)
    assert (code, found["plugin gateway"]["hint"]) == (1, "Start one with: localagent serve")
    path.write_text('use = ["provider-openai"]')
    code, found = await findings(path)
    assert (code, found["serving"]["level"]) == (1, "broken")


async def test_doctor_sees_an_instance_that_is_sick(tmp_path: Path) -> None:
    """The worker's own view of it counts, and its last error is shown."""
    path = write_settings(tmp_path, "http://127.0.0.1:9/v1")
    async with serving(path) as process, httpx.AsyncClient(base_url=process.url, timeout=30) as http:
        await http.post("/v1/chat/completions", json=BODY)
        code, found = await findings(path)
    sick = found[f"worker 1 of {process.url}, instance up@127.0.0.1:9"]
    assert (code, sick["level"]) == (1, "broken")


async def test_doctor_sees_a_worker_that_hangs(tmp_path: Path) -> None:
    """One that is stopped does not answer: its process is named, with the command that ends it."""
    path = write_settings(tmp_path, "http://127.0.0.1:9/v1")
    async with serving(path, "--workers", "2") as process:
        (stopped, _) = children(process.pid)
        os.kill(stopped, signal.SIGSTOP)
        try:
            code, found = await findings(path)
        finally:
            os.kill(stopped, signal.SIGCONT)
    silent = found[f"process {stopped} of {process.url}"]
    assert (code, silent["level"], f"kill -KILL {stopped}" in silent["hint"]) == (1, "broken", True)
    assert len([subject for subject in found if subject.startswith("worker") and ", " not in subject]) == 1


def test_versions_that_differ_from_what_is_installed_are_told() -> None:
    """For a worker that runs on after an upgrade, with the command that makes it run the installed version."""
    old = ProcessStatus("worker 1", {"core": "0", "gateway": "0.0.1", "gone": "1"}, restart="Run: kill -USR2 7")
    _, finding = of_process(old)
    assert (finding.level, finding.subject, finding.hint) == ("warn", "worker 1, plugin gateway", "Run: kill -USR2 7")


def test_dropped_work_is_told() -> None:
    """As many as were dropped, and how many are under way."""
    _, finding = of_process(ProcessStatus("worker 1", dropped=3, background=1000))
    assert finding.subject == "worker 1, background work"
    assert "3 background tasks were dropped" in finding.text


def test_an_instance_is_summed_up_and_seen_at_its_worst() -> None:
    """Counts add up; the worker that saw it fail says how it is."""
    well = {"instance": "a", "health": "healthy", "in_flight": 1, "attempts": 2, "failures": 0, "error": ""}
    sick = {"instance": "a", "health": "unhealthy", "in_flight": 0, "attempts": 3, "failures": 3, "error": "refused"}
    pools: list[dict[str, int]] = [{"active": 1, "idle": 2}, {"active": 3, "idle": 0}, {}]
    workers = [{"instances": [{**one, "pool": pool}]} for one, pool in zip((well, sick, well), pools, strict=True)]
    (seen,) = summed(workers)
    assert seen == {**sick, "in_flight": 2, "attempts": 7, "pool": {"active": 4, "idle": 2}}
