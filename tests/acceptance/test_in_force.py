"""The settings that were read last are in force until they are read again, whatever becomes of the file meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx
import pytest
from odd_plugin import installed
from processes import BODY, Process, serving, starting, upstream, write_settings
from test_reload import AGAIN, BOTH, odd_settings
from test_rolling import CLIENTS, Load
from test_supervisor import children

from localagent_gateway.status.control_socket import serving_now

FULL = bool(os.environ.get("LOCALAGENT_FULL"))
# Those that end a worker; it ignores SIGINT and SIGHUP, which are for the supervisor.
FATAL = [
    number
    for number in range(1, 65)
    if number in signal.valid_signals()
    and number not in {signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP,
                       signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH, signal.SIGPIPE,
                       signal.SIGXFSZ}
]  # fmt: skip
TRIED = FATAL if FULL else [signal.SIGKILL, signal.SIGTERM, signal.SIGRTMIN + 3]

Damage = Callable[[Path, str], object]


def broken(path: Path, _: str) -> None:
    path.write_text("nonsense = [\n")


def edited(path: Path, url: str) -> None:
    write_settings(path.parent, url)


def missing(path: Path, _: str) -> None:
    path.unlink()


async def answered(process: Process) -> None:
    async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
        answer = await http.post("/v1/chat/completions", json=BODY)
        assert answer.status_code == 200, answer.text


async def replaced(process: Process, before: list[int]) -> None:
    """Return when there are as many workers as before, and none of those."""
    while len(now := children(process.pid)) < len(before) or set(now) & set(before):  # noqa: ASYNC110 - others' children
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("damage", [broken, edited, missing] if FULL else [broken, edited])
async def test_workers_that_died_come_back_with_the_settings_in_force(tmp_path: Path, damage: Damage) -> None:
    """All of them at once: what waits for an answer gets one, from the server that the settings in force name."""
    async with upstream() as up, upstream() as other:
        path = write_settings(tmp_path, up.url)
        async with serving(path, "--workers", "2") as process:
            damage(path, other.url)
            before = children(process.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await asyncio.gather(*(answered(process) for _ in range(4)))
            await replaced(process, before)
            await asyncio.gather(*(answered(process) for _ in range(4)))
            assert (up.asked, other.asked) == (8, 0)
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0


@pytest.mark.parametrize("damage", [broken, edited])
async def test_replaced_workers_have_the_settings_in_force(tmp_path: Path, damage: Damage) -> None:
    """SIGUSR2 makes new processes and reads no settings; SIGHUP reads them."""
    async with upstream() as up, upstream() as other:
        path = write_settings(tmp_path, up.url)
        async with serving(path, "--workers", "2") as process:
            damage(path, other.url)
            process.signal(signal.SIGUSR2)
            await process.line("The workers were replaced")
            await answered(process)
            assert (up.asked, other.asked) == (1, 0)
            edited(path, other.url)
            process.signal(signal.SIGHUP)
            await process.line(AGAIN)
            await answered(process)
            assert (up.asked, other.asked) == (1, 1)


async def test_a_worker_that_died_after_a_reload_comes_back_with_the_new_settings(tmp_path: Path) -> None:
    """What was read last counts, and not what the gateway was started with."""
    async with upstream() as up, upstream() as other:
        path = write_settings(tmp_path, up.url)
        async with serving(path, "--workers", "2") as process:
            edited(path, other.url)
            process.signal(signal.SIGHUP)
            await process.line(AGAIN)
            broken(path, "")
            before = children(process.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await replaced(process, before)
            await answered(process)
            assert (up.asked, other.asked) == (0, 1)


@BOTH
async def test_signals_that_come_before_it_serves_end_nothing(tmp_path: Path, workers: int) -> None:
    """SIGHUP is obeyed as soon as it serves; SIGUSR1 means nothing."""
    note, go = tmp_path / "note", tmp_path / "go"
    path = odd_settings(tmp_path, note=str(note), wait=str(go))
    async with starting(path, "--workers", str(workers), environment=installed(tmp_path / "site")) as process:
        await exists(note)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            process.signal(number)
        go.touch()
        process.url = (await process.line(r"Serving on (http://[^/]+)/v1"))[1]
        for number in (signal.SIGHUP, signal.SIGUSR1):
            process.signal(number)
        await process.line(AGAIN)
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
            assert (await http.get("/readyz")).status_code == 200
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


async def exists(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process's file
        await asyncio.sleep(0.01)


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_a_start_can_be_stopped(tmp_path: Path, workers: int, number: int) -> None:
    """A plugin that hangs when it starts does not keep the gateway from ending."""
    note = tmp_path / "note"
    path = odd_settings(tmp_path, note=str(note), wait=str(tmp_path / "never"))
    async with starting(path, "--workers", str(workers), environment=installed(tmp_path / "site")) as process:
        await exists(note)
        process.signal(number)
        assert await process.ended() == 0


async def test_a_start_that_blocks_is_stopped_by_the_second_signal(tmp_path: Path) -> None:
    """The event loop never hears of the first one."""
    note = tmp_path / "note"
    path = odd_settings(tmp_path, note=str(note))
    path.write_text(path.read_text().replace("[plugins.odd]", "[plugins.odd]\nblock = true"))
    async with starting(path, environment=installed(tmp_path / "site")) as process:
        await exists(note)
        ended = asyncio.ensure_future(process.ended())
        while not ended.done():  # a signal that comes just before the block begins is not heard until the next one
            for number in (signal.SIGTERM, signal.SIGINT):  # of the same number, two may become one
                with contextlib.suppress(ProcessLookupError):
                    process.signal(number)
            await asyncio.wait({ended}, timeout=5.0)
        # Signals of a second round may come while it ends, and end it themselves.
        assert ended.result() in (130, -signal.SIGTERM, -signal.SIGINT)


async def test_signals_for_the_supervisor_end_no_worker_that_starts(tmp_path: Path) -> None:
    """Somebody may send SIGHUP to all processes of a name, at any moment."""
    path = odd_settings(tmp_path)
    async with starting(path, "--workers", "2", environment=installed(tmp_path / "site")) as process:
        while not any("Serving on" in line for line in process.lines):
            for pid in children(process.pid):
                for number in (signal.SIGHUP, signal.SIGINT):
                    send(pid, number)
            await asyncio.sleep(0.01)
            assert not process.closed, process.lines


def send(pid: int, number: int) -> None:
    """Send a signal to a worker; between fork and exec it is still called what its parent is called."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if b"gateway.processes.worker_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, number)


@BOTH
async def test_a_reload_that_hangs_is_given_up(tmp_path: Path, workers: int) -> None:
    """After ``start_timeout``; the settings before stay in force, and the next reload is obeyed."""
    path = odd_settings(tmp_path)
    async with serving(path, "--workers", str(workers), environment=installed(tmp_path / "site")) as process:
        odd_settings(tmp_path, wait=str(tmp_path / "never"))
        path.write_text(path.read_text() + "start_timeout = 0.5\n")
        process.signal(signal.SIGHUP)
        await process.line(r"stay in force: The new pipeline did not open within 0\.5 s")
        odd_settings(tmp_path)
        process.signal(signal.SIGHUP)
        await process.line(AGAIN)


async def test_a_replacement_that_hangs_keeps_nobody_waiting(tmp_path: Path) -> None:
    """While a new worker hangs, others that die are started again, and the gateway can be stopped."""
    made = tmp_path / "made"
    made.mkdir()  # nobody hangs at the first start
    path = odd_settings(tmp_path, hang_once=str(made))
    path.write_text(path.read_text() + "start_timeout = 3600\n")
    async with serving(path, "--workers", "2", environment=installed(tmp_path / "site")) as process:
        before = children(process.pid)
        made.rmdir()
        process.signal(signal.SIGUSR2)
        await exists(made)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await process.line("Worker 1 ended with signal SIGKILL")
        await process.line("Worker 2 ended with signal SIGKILL")
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
            assert (await http.get("/readyz")).status_code == 200
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


@pytest.mark.skipif(not FULL, reason="takes 20 seconds; the slot's tests have it on a virtual clock")
async def test_a_worker_that_was_stopped_is_replaced(tmp_path: Path) -> None:
    """It answers its supervisor no more, and is killed."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), "--workers", "2") as process:
        before = children(process.pid)
        os.kill(before[0], signal.SIGSTOP)
        await process.line(r"Worker . has not answered for 20 s\. It is killed")
        while before[0] in (now := children(process.pid)) or len(now) < 2:  # noqa: ASYNC110 - others' children
            await asyncio.sleep(0.01)
        await answered(process)
        assert before[1] in now


async def test_while_no_worker_can_be_started_requests_are_answered(tmp_path: Path) -> None:
    """With 503 at once, and not with silence; as soon as one can be started, it answers."""
    path = odd_settings(tmp_path)
    async with serving(path, "--workers", "2", environment=installed(tmp_path / "site")) as process:
        module = tmp_path / "site" / "localagent_odd.py"
        whole = module.read_text()
        module.write_text("raise ImportError\n")
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        await process.line("Worker . cannot be started")
        answers = []
        while 503 not in answers:
            answers.append(await status(process))
        module.write_text(whole)
        while await status(process) != 200:  # noqa: ASYNC110 - another process's workers
            await asyncio.sleep(0.1)
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


async def status(process: Process) -> int:
    async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
        answer = await http.post("/v1/chat/completions", content=b"x" * 1_000_000)
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            return 503
        return (await http.get("/readyz")).status_code


@pytest.mark.timeout(900)
@pytest.mark.parametrize("damage", [broken, edited] if FULL else [edited])
async def test_under_load_only_the_killed_worker_s_requests_are_lost(
    tmp_path: Path, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    """By any signal: it is replaced by the settings in force, and what the other worker does is answered whole."""
    async with upstream() as up, upstream() as other:
        path = write_settings(tmp_path, up.url)
        async with serving(path, "--workers", "2") as process:
            damage(path, other.url)
            load = Load(process.url)
            rows = []
            async with load.running():
                await load.answered(2 * CLIENTS)
                for number in TRIED:
                    rows.append(await killed(process, tmp_path / "state" / "gateway", number))
                    await load.answered(2 * CLIENTS)
            wrong = {end: count for end, count in load.ended.items() if end != "ok"}
            assert not [end for end in wrong if not lost_connection(end)], wrong
            assert sum(wrong.values()) <= CLIENTS * len(TRIED)
            assert other.asked == 0
        with capsys.disabled():
            print(
                f"\n{damage.__name__} file: {len(rows)} kills, {load.ended.total()} requests"
                f", {sum(wrong.values())} lost, replaced after {median(rows):.2f} s (median) to {max(rows):.2f} s"
            )


def lost_connection(end: str) -> bool:
    """Whether a request ended because the connection to its worker did."""
    return any(word in end for word in ("Disconnected", "Reset", "PayloadError", "OSError", "Connection"))


async def killed(process: Process, folder: Path, number: int) -> float:
    """Kill a worker; return the seconds until another one has its place. Half a minute is a failure."""
    victim = children(process.pid)[0]
    began = time.monotonic()
    os.kill(victim, number)
    async with asyncio.timeout(30):
        while True:
            (reported,) = await serving_now(folder)
            workers = {worker["process"] for worker in reported["workers"]}
            if victim not in workers and len(workers) == 2:
                return time.monotonic() - began
            await asyncio.sleep(0.02)
