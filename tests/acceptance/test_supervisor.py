"""``localagent serve --workers N``: one process binds, several answer."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import BODY, STREAM, Process, serving, upstream, write_settings

from localagent_gateway.processes.worker_restarts import LONGEST_DELAY, restart_delay

TWO = ("--workers", "2")


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def watched(pids: list[int]) -> Iterator[Any]:
    """Return a coroutine function that waits until all of some processes have ended."""
    handles = [os.pidfd_open(pid) for pid in pids]

    async def ended() -> None:
        for handle in handles:
            readable, _, _ = await asyncio.to_thread(select.select, [handle], [], [], 60)
            assert readable, "A worker was left behind."

    try:
        yield ended
    finally:
        for handle in handles:
            os.close(handle)


async def answered_by(process: Process) -> httpx.Response:
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
        return await http.post("/v1/chat/completions", json=BODY)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_workers_answer_and_end_with_their_supervisor(tmp_path: Path, number: int) -> None:
    """Two processes serve one port; one signal drains both, and nothing is left behind."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), *TWO) as process:
        pids = children(process.pid)
        assert len(pids) == 2
        assert (await answered_by(process)).status_code == 200
        with watched(pids) as ended:
            process.signal(number)
            assert await process.ended() == 0
            await ended()
        assert [line for line in process.lines if "Serving on" not in line] == []


async def test_a_stream_that_runs_finishes(tmp_path: Path) -> None:
    """The drain of a worker lets its streams end."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), *TWO) as process:
        up.hold.clear()
        async with (
            httpx.AsyncClient(base_url=process.url, timeout=30) as http,
            http.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
        ):
            parts = answer.aiter_text()
            text = await anext(parts)
            process.signal(signal.SIGTERM)
            await closed(process.url)
            up.hold.set()
            text += "".join([part async for part in parts])
        assert text.rstrip().endswith("[DONE]")
        assert await process.ended() == 0


async def closed(url: str) -> None:
    """Return when no new connection is taken in."""
    host, port = url.removeprefix("http://").split(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return
        writer.close()


async def test_a_worker_that_died_is_started_again(tmp_path: Path) -> None:
    """Requests go to the other one meanwhile; the log says how it ended."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), *TWO) as process:
        before = children(process.pid)
        os.kill(before[0], signal.SIGKILL)
        await process.line("Worker . ended with signal SIGKILL")
        assert (await answered_by(process)).status_code == 200
        while len(now := children(process.pid)) < 2 or before[0] in now:  # noqa: ASYNC110 - another process's children
            await asyncio.sleep(0.01)
        assert before[1] in now


async def test_workers_end_when_their_supervisor_was_killed(tmp_path: Path) -> None:
    """No order reaches them any more; the pipe that closes is enough."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), *TWO) as process:
        with watched(children(process.pid)) as ended:
            process.signal(signal.SIGKILL)
            await ended()
        await closed(process.url)


async def test_the_second_signal_ends_now(tmp_path: Path) -> None:
    """Workers in the middle of their drain are killed."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url, drain_delay=3600), *TWO) as process:
        with watched(children(process.pid)) as ended:
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
                process.signal(signal.SIGTERM)
                while (await http.get("/readyz")).status_code == 200:
                    pass
            process.signal(signal.SIGTERM)
            assert await process.ended() == 130
            await ended()


async def test_workers_run_on_uvloop(tmp_path: Path) -> None:
    """The option reaches them."""
    pytest.importorskip("uvloop")
    async with upstream() as up, serving(write_settings(tmp_path, up.url), *TWO, "--loop", "uvloop") as process:
        assert (await answered_by(process)).status_code == 200
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


async def test_workers_that_cannot_start_are_one_sentence(tmp_path: Path) -> None:
    """The command reports what the worker reports about its start."""
    path = write_settings(tmp_path, "http://127.0.0.1:9/v1", more='[providers.other]\ntype = "openai"\nnonsense = 1')
    with pytest.raises(AssertionError, match="nonsense is unknown"):
        async with serving(path, *TWO):
            pass


def test_restarts_slow_down() -> None:
    """The first restart comes soon; each further death in a row doubles the wait, up to half a minute."""
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 100)] == [0.1, 0.2, 0.4, LONGEST_DELAY]
