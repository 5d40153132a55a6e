"""``localagent serve`` with one worker in its own process."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import BODY, STREAM, serving, upstream, write_settings

from localagent.errors import StartError
from localagent.plugin_api import install
from localagent_gateway.processes.worker import loop_factory


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=30)


def events(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


async def first_bytes(parts: AsyncIterator[str]) -> str:
    return await anext(parts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_an_idle_server_ends_well(tmp_path: Path, number: int) -> None:
    """It says where it serves, answers, and ends with exit code 0 and without a further word."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url)) as process:
        async with client(process.url) as http:
            assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
            process.signal(number)
            assert await process.ended() == 0
        assert [line for line in process.lines if "Serving on" not in line] == []


async def test_a_stream_that_runs_finishes(tmp_path: Path) -> None:
    """After SIGTERM no connection is taken in, and the answer under way is whole."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url)) as process, client(process.url) as http:
        up.hold.clear()
        async with http.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
            parts = answer.aiter_text()
            text = await first_bytes(parts)
            process.signal(signal.SIGTERM)
            await refused(process.url)
            up.hold.set()
            text += "".join([part async for part in parts])
        assert events(text)[-1] == "[DONE]"
        assert await process.ended() == 0


async def refused(url: str) -> None:
    """Return when no new connection is taken in."""
    host, port = url.removeprefix("http://").split(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return
        writer.close()


async def test_a_stream_that_does_not_finish_is_told(tmp_path: Path) -> None:
    """At the end of the drain its last event is an error with the code server_draining, and the body ends cleanly."""
    settings = "drain_timeout"
    async with upstream() as up, serving(write_settings(tmp_path, up.url, **{settings: 0.2})) as process:
        up.hold.clear()
        async with (
            client(process.url) as http,
            http.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
        ):
            parts = answer.aiter_text()
            text = await first_bytes(parts)
            process.signal(signal.SIGTERM)
            text += "".join([part async for part in parts])  # raises when the chunked body has no end
        assert events(text)[-1]["error"]["code"] == "server_draining"
        assert await process.ended() == 0


async def test_a_call_that_does_not_finish_is_told(tmp_path: Path) -> None:
    """A request that is not streamed is answered with 503 and the same code."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url, drain_timeout=0.2)) as process:
        up.hold.clear()
        async with client(process.url) as http:
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=BODY))
            await up.begun.wait()
            process.signal(signal.SIGTERM)
            answer = await asking
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_draining")
        assert await process.ended() == 0


async def test_requests_are_taken_in_during_the_delay(tmp_path: Path) -> None:
    """/readyz says no at once, /healthz yes, and requests on new connections are answered until the delay is over."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url, drain_delay=3600)) as process:
        async with client(process.url) as http:
            assert (await http.get("/readyz")).status_code == 200
            process.signal(signal.SIGTERM)
            while (await http.get("/readyz")).status_code == 200:
                pass
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200
        async with client(process.url) as http:
            answer = await http.post("/v1/chat/completions", json=BODY)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        process.signal(signal.SIGTERM)
        assert await process.ended() == 130


async def test_the_second_signal_ends_now(tmp_path: Path) -> None:
    """Whatever is under way is cut, and the exit code says that it was."""
    async with upstream() as up, serving(write_settings(tmp_path, up.url)) as process, client(process.url) as http:
        up.hold.clear()
        async with http.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
            parts = answer.aiter_text()
            await first_bytes(parts)
            process.signal(signal.SIGTERM)
            await refused(process.url)
            process.signal(signal.SIGTERM)
            with pytest.raises(httpx.HTTPError):
                await anext(parts)
        assert await process.ended() == 130


async def test_a_reload_changes_the_settings_and_no_stream(tmp_path: Path) -> None:
    """After SIGHUP new requests get the new settings; the stream that runs stays with the old ones and ends well."""
    async with upstream() as up, upstream() as other:
        path = write_settings(tmp_path, up.url)
        async with serving(path) as process, client(process.url) as http:
            up.hold.clear()
            async with http.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
                parts = answer.aiter_text()
                text = await first_bytes(parts)
                write_settings(tmp_path, other.url)
                process.signal(signal.SIGHUP)
                await process.line("The settings were read again")
                assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
                assert (up.asked, other.asked) == (1, 1)
                up.hold.set()
                text += "".join([part async for part in parts])
            assert events(text)[-1] == "[DONE]"
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0


async def test_wrong_settings_at_a_reload_change_nothing(tmp_path: Path) -> None:
    """One sentence says what is wrong, and the old settings stay in force."""
    async with upstream() as up:
        path = write_settings(tmp_path, up.url)
        async with serving(path) as process, client(process.url) as http:
            path.write_text("nonsense = 1\n")
            process.signal(signal.SIGHUP)
            line = await process.line("the previous ones stay in force")
            assert "nonsense is unknown" in line.string
            assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200


async def test_uvloop_serves_and_drains(tmp_path: Path) -> None:
    """--loop uvloop: the same answers, the same end."""
    pytest.importorskip("uvloop")
    async with upstream() as up, serving(write_settings(tmp_path, up.url), "--loop", "uvloop") as process:
        async with client(process.url) as http:
            assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


def test_uvloop_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    with pytest.raises(StartError, match="uvloop is not installed") as raised:
        loop_factory("uvloop")
    assert raised.value.hint == install("localagent-gateway", extra="uvloop")
