"""Reloads and rolling restarts: settings and workers are replaced while requests come, and no client notices."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from processes import BODY, STREAM, Process, Upstream, serving, upstream, write_settings
from test_supervisor import children

RESTARTS = 20 if os.environ.get("LOCALAGENT_FULL") else 3
CLIENTS = 8
AGAIN = "The settings were read again"
REPLACED = "The workers were replaced"
PATH = "/v1/chat/completions"


class Load:
    """Clients that ask one request after the other, on connections that they keep; chats and streams by turns.

    Attributes:
        ended: How requests ended: ``ok``, or what went wrong.
    """

    def __init__(self, url: str) -> None:
        self.ended: Counter[str] = Counter()
        self._url = url
        self._enough = asyncio.Event()
        self._more = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask as long as the context is open; what is under way then is finished."""
        async with aiohttp.ClientSession(self._url) as session:
            tasks = [asyncio.create_task(self._ask(session, bool(number % 2))) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._enough.set()
                await asyncio.gather(*tasks)

    async def answered(self, count: int) -> None:
        """Wait until so many more requests have ended."""
        until = self.ended.total() + count
        while self.ended.total() < until:
            self._more.clear()
            await self._more.wait()

    async def _ask(self, session: aiohttp.ClientSession, stream: bool) -> None:
        while not self._enough.is_set():
            self.ended[await self._once(session, stream)] += 1
            self._more.set()

    async def _once(self, session: aiohttp.ClientSession, stream: bool) -> str:
        try:
            async with session.post(PATH, json=STREAM if stream else BODY) as answer:
                text = await answer.text()
        except aiohttp.ClientError as error:
            return repr(error)
        whole = text.rstrip().endswith("data: [DONE]") if stream else '"Hello."' in text
        return "ok" if answer.status == 200 and whole else f"{answer.status} {text}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "word", "workers"),
    [(signal.SIGUSR2, REPLACED, 2), (signal.SIGHUP, AGAIN, 2), (signal.SIGHUP, AGAIN, 1)],
    ids=["replaced-2", "reloaded-2", "reloaded-1"],
)
async def test_no_request_fails_and_no_stream_is_cut(tmp_path: Path, number: int, word: str, workers: int) -> None:
    """Restart after restart, reload after reload, under load: every chat and every stream is answered whole."""
    async with (
        upstream() as up,
        serving(write_settings(tmp_path, up.url), "--workers", str(workers)) as process,
    ):
        load = Load(process.url)
        async with load.running():
            for count in range(1, RESTARTS + 1):
                before = children(process.pid)
                await load.answered(2 * CLIENTS)
                process.signal(number)
                await process.line(word, count)
                replaced = not set(before) <= set(children(process.pid)[-workers:])
                assert workers == 1 or replaced == (number == signal.SIGUSR2)
            await load.answered(2 * CLIENTS)
        assert list(load.ended) == ["ok"]
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


async def test_a_kept_connection_serves_one_request_more(tmp_path: Path) -> None:
    """A client that does not know about the restart is answered by the old worker, and asked to connect again."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), "--workers", "2") as process:
        kept = http.client.HTTPConnection(process.url.removeprefix("http://"), timeout=30)
        with contextlib.closing(kept):
            assert await asyncio.to_thread(asked, kept) == (200, None)
            place = kept.sock.getsockname()
            process.signal(signal.SIGUSR2)
            await process.line(REPLACED)
            assert await asyncio.to_thread(asked, kept, place) == (200, "close")
            assert await asyncio.to_thread(asked, kept) == (200, None)


def asked(kept: http.client.HTTPConnection, place: object = None) -> tuple[int, str | None]:
    """Ask once; return status and ``Connection``."""
    assert place is None or kept.sock.getsockname() == place  # the connection is still the same one
    kept.request("GET", "/healthz")
    answer = kept.getresponse()
    answer.read()
    return answer.status, answer.headers["connection"]


async def test_a_stream_outlives_the_worker_s_replacement(tmp_path: Path) -> None:
    """The old worker ends when its last stream has."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url), "--workers", "2") as process:
        old = children(process.pid)
        async with aiohttp.ClientSession(process.url) as session, held(session, up) as answer:
            process.signal(signal.SIGUSR2)
            await process.line(REPLACED)
            up.hold.set()
            assert (await answer.text()).rstrip().endswith("data: [DONE]")
        await gone(process, old)


@contextlib.asynccontextmanager
async def held(session: aiohttp.ClientSession, up: Upstream) -> AsyncIterator[aiohttp.ClientResponse]:
    """A stream whose first event has come."""
    up.hold.clear()
    async with session.post(PATH, json=STREAM) as answer:
        await up.begun.wait()
        yield answer


async def gone(process: Process, pids: list[int]) -> None:
    while not set(pids).isdisjoint(children(process.pid)):  # noqa: ASYNC110 - another process's children
        await asyncio.sleep(0.01)


async def test_wrong_settings_replace_nothing(tmp_path: Path) -> None:
    """One sentence says what is wrong, and the same workers go on."""
    async with upstream() as up:
        path = write_settings(tmp_path, up.url)
        async with serving(path, "--workers", "2") as process:
            before = children(process.pid)
            path.write_text("nonsense = 1\n")
            process.signal(signal.SIGHUP)
            line = await process.line("the previous ones stay in force")
            assert "nonsense is unknown" in line.string
            assert children(process.pid) == before
