"""``localagent serve`` as a process, and a model server in the test that answers when the test allows it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from localagent_testing import sse

BODY = {"messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**BODY, "stream": True}


class Upstream:
    """A model server.

    Attributes:
        url: Its base address.
        hold: While it is cleared, a stream stops after its first event, and a chat before its answer.
        asked: How many requests came.
        begun: Set when one came that is held.
    """

    def __init__(self) -> None:
        self.url = ""
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked = 0
        self.begun = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer whatever is asked."""
        if request.method == "GET":
            return web.json_response({"object": "list", "data": [{"id": "m"}]})
        self.asked += 1
        body = await request.json()
        if body.get("stream"):
            return await self._stream(request)
        await self._held()
        message = {"role": "assistant", "content": "Hello."}
        return web.json_response({"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(sse([_event({"content": "Hel"})]))
        await self._held()
        await response.write(sse([_event({"content": "lo."}), _event({}, "stop"), "[DONE]"]))
        return response

    async def _held(self) -> None:
        if not self.hold.is_set():
            self.begun.set()
            await self.hold.wait()


def _event(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta,
                                                                       "finish_reason": finish}]}  # fmt: skip


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Run a model server on a free port of the loopback interface."""
    made = Upstream()
    runner = web.ServerRunner(web.Server(made.answer, handler_cancellation=True, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/v1"
    try:
        yield made
    finally:
        made.hold.set()
        await runner.cleanup()


class Process:
    """``localagent serve``.

    Attributes:
        url: Where it serves; empty until it has reported it.
        lines: What it has written to standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self.url = ""
        self.lines: list[str] = []
        self.closed = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def line(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Return the line that fits a pattern, as soon as so many did; fail when the process ends before."""
        while True:
            found = [match for line in self.lines if (match := re.search(pattern, line))]
            if len(found) >= count:
                return found[-1]
            assert not self.closed, f"It ended and never wrote {pattern!r}:\n" + "\n".join(self.lines)
            self._more.clear()
            await self._more.wait()

    async def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        await self._reading
        return await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(line.decode().rstrip())
            self._more.set()
        self.closed = True
        self._more.set()

    async def aclose(self) -> None:
        """Kill it, if it is still there."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
        await self.ended()


def write_settings(folder: Path, url: str, more: str = "", **gateway: Any) -> Path:
    """Write a settings file with one model server at ``url`` and settings of the gateway; return its path."""
    own = "\n".join(f"{name} = {_toml(value)}" for name, value in {"log": "none", **gateway}.items())
    path = folder / "localagent.toml"
    path.write_text(
        f'use = ["gateway", "connect-aiohttp", "provider-openai"]\n'
        f'default_model = "up/m"\nstate_folder = "{folder}/state"\n'
        f'[providers.up]\ntype = "openai"\ninstances = ["{url}"]\n{more}\n[plugins.gateway]\n{own}\n'
    )
    return path


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@contextlib.asynccontextmanager
async def starting(
    settings: Path, *options: str, environment: dict[str, str] | None = None, descriptors: int | None = None
) -> AsyncIterator[Process]:
    """Run ``localagent serve`` on a port that the system chooses; kill it at the end.

    Args:
        settings: The settings file.
        options: Further options of the command.
        environment: Further variables.
        descriptors: The most files and sockets that it may open; None for the limit of this process.
    """
    command = [sys.executable, "-m", "localagent_cli", "--config", str(settings), "serve", "--port", "0", *options]
    if descriptors is not None:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    started = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    process = Process(started)
    try:
        yield process
    finally:
        await process.aclose()


@contextlib.asynccontextmanager
async def serving(settings: Path, *options: str, **more: Any) -> AsyncIterator[Process]:
    """The same as ``starting``, until it serves."""
    async with starting(settings, *options, **more) as process:
        process.url = (await process.line(r"Serving on (http://[^/]+)/v1"))[1]
        yield process
