"""What ``localagent serve`` writes to standard error, and what becomes of it when nobody reads it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import BODY, serving, upstream, write_settings
from test_supervisor import children

REQUESTS = 40_000 if os.environ.get("LOCALAGENT_FULL") else 8_000  # more than the queue and the pipe hold
BATCH = 200
SECONDS = 120.0  # a generous ceiling: a gateway that waits for its reader waits for ever
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Unread:
    """A gateway whose standard error is read only when the test reads it.

    Attributes:
        process: The process.
        url: Where it serves.
        text: What was read.
    """

    def __init__(self, process: asyncio.subprocess.Process, reading: int) -> None:
        self.process = process
        self.url = ""
        self.text = b""
        self._reading = reading

    async def begin(self) -> None:
        """Read until it says where it serves."""
        while b"Serving on" not in self.text or not self.text.endswith(b"\n"):
            self.text += await asyncio.to_thread(os.read, self._reading, 65536)
        self.url = self.text.decode().partition("Serving on ")[2].partition("/v1")[0]

    async def read(self) -> list[dict[str, Any]]:
        """Read to the end, and return the lines, all of which are JSON objects."""
        with contextlib.suppress(OSError):  # how Linux says that nobody holds the other end of a terminal any more
            while piece := await asyncio.to_thread(os.read, self._reading, 65536):
                self.text += piece
        return [json.loads(line) for line in self.text.splitlines() if line]

    async def ask(self, requests: int) -> None:
        """Send requests on one connection, and return when all are answered."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            for _ in range(requests // BATCH):
                writer.write(GET * BATCH)
                answered = 0
                while answered < BATCH:
                    answered += (await reader.readuntil(b'{"status":"ok"}')).count(b"HTTP/1.1 200 OK")
        finally:
            writer.close()
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def unread(folder: Path, *options: str, terminal: bool = False) -> AsyncIterator[Unread]:
    """Serve with a pipe, or a terminal that was stopped, as standard error."""
    settings = write_settings(folder, "http://127.0.0.1:9", log="all")
    reading, writing = os.openpty() if terminal else os.pipe()
    command = [sys.executable, "-m", "localagent_cli", "--config", str(settings), "serve", "--port", "0", *options]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=writing, stdout=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL
    )
    os.close(writing)
    try:
        async with asyncio.timeout(SECONDS):
            served = Unread(process, reading)
            await served.begin()
            if terminal:
                os.write(reading, b"\x13")  # Ctrl-S
            yield served
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        os.close(reading)
        await process.wait()


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one worker", "two workers"])
async def test_a_log_that_nobody_reads_holds_up_nobody(tmp_path: Path, options: tuple[str, ...]) -> None:
    """All requests are answered; read later, every line is whole, and each request has one or is counted as dropped."""
    async with unread(tmp_path, *options) as served:
        await served.ask(REQUESTS)
        served.process.send_signal(signal.SIGTERM)
        lines = await served.read()
        assert await served.process.wait() == 0
    logged = [line for line in lines if "status" in line]
    dropped = [line["dropped_lines"] for line in lines if "dropped_lines" in line]
    assert len(logged) + sum(dropped) == REQUESTS
    assert len(dropped) == 1


async def test_a_terminal_that_was_stopped_holds_up_nobody(tmp_path: Path) -> None:
    """Ctrl-S, and still an orderly end by SIGTERM."""
    async with unread(tmp_path, terminal=True) as served:
        await served.ask(2_000)
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0


async def test_workers_whose_log_nobody_reads_can_end(tmp_path: Path) -> None:
    """What could not be written is lost; the exit code is that of a good end."""
    async with unread(tmp_path, "--workers", "2") as served:
        await served.ask(2_000)
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0


NOISY = """
import logging, sys, threading, warnings
from localagent import Plugin, hookimpl
from localagent.plugin_api import HttpResponse, Route

class Noisy(Plugin):
    name = "noisy"

    @hookimpl(of="gateway")
    def gateway_add_routes(self):
        return [Route("GET", "/noise", noise), Route("GET", "/raise", fail)]

async def noise(incoming, principal):
    print("printed\\nin two lines")
    print("to standard error", file=sys.stderr)
    sys.stderr.buffer.write(b"as bytes\\n")
    warnings.warn("a warning")
    logging.getLogger("aiohttp.server").error("an error of\\naiohttp")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    return HttpResponse(200, b"{}")

async def fail(incoming, principal):
    raise ValueError("a failure")
"""


@pytest.mark.parametrize("options", [("--debug",), ("--workers", "2")], ids=["debug", "two workers"])
async def test_every_line_is_a_json_object(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Requests, warnings, prints, tracebacks, reloads, workers that die: no matter which process writes it."""
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "noisy-1.dist-info").mkdir()
    (tmp_path / "noisy-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1\n")
    (tmp_path / "noisy-1.dist-info" / "entry_points.txt").write_text("[localagent]\nnoisy = noisy:Noisy\n")
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))}
    debug = "--debug" in options
    async with upstream() as up:
        path = write_settings(tmp_path, up.url, log="all")
        path.write_text(path.read_text().replace('use = ["gateway", ', 'use = ["noisy", "gateway", '))
        async with (
            serving(path, *options, environment=environment) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as http,
        ):
            statuses = [(await http.get(where)).status_code for where in ("/noise", "/raise", "/nothing")]
            assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
            await process.line('"status":500')  # a worker that is killed writes nothing any more
            process.signal(signal.SIGHUP)
            await process.line("The settings were read again")
            if not debug:
                os.kill(children(process.pid)[0], signal.SIGKILL)
                await process.line("ended with signal SIGKILL")
            path.write_text("nonsense = 1\n")
            process.signal(signal.SIGHUP)
            await process.line("the previous ones stay in force")
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
    assert statuses == [200, 500, 404]
    assert [line for line in process.lines if not line.startswith("{")] == []
    reported = [json.loads(line) for line in process.lines]
    said = [line["message"] for line in reported if "message" in line]
    for text in ("printed", "in two lines", "to standard error", "as bytes", "an error of\naiohttp"):
        assert text in said
    assert any("a warning" in text for text in said)
    failed = [line for line in reported if "ValueError" in line.get("message", "")]
    assert [bool(line.get("traceback")) for line in failed] == [debug]
    (request,) = [line for line in reported if line.get("status") == 500]
    assert failed[0]["request_id"] == request["request_id"]
