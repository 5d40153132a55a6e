"""The catalog behind a gateway and beside the command line: how often a real server is asked for its models."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import pytest
from aiohttp import web
from processes import serving, write_settings

pytest.importorskip("localagent_catalog")

ASKED = 200


@attrs.define
class Lists:
    """A server that lists one model.

    Attributes:
        url: Its base address.
        asked: How often it was asked.
        model: The model.
    """

    url: str = ""
    asked: int = 0
    model: str = "m"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"data": [{"id": self.model, "max_model_len": 4096}]})


@asynccontextmanager
async def lists() -> AsyncIterator[Lists]:
    server, app = Lists(), web.Application()
    app.router.add_get("/v1/models", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()


def settings_of(folder: Path, url: str) -> Path:
    path = write_settings(folder, url, "[health]\nenabled = false")
    path.write_text(path.read_text().replace('use = ["gateway"', 'use = ["catalog", "gateway"'))
    return path


async def listed(settings: Path, *options: str) -> list[str]:
    """Return the models that ``localagent models`` prints, in a process of its own."""
    command = [sys.executable, "-m", "localagent_cli", "--config", str(settings), "models", "--json", *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [model["name"] for model in json.loads(out)["models"]]


async def test_a_gateway_asks_for_model_lists_seldom(tmp_path: Path) -> None:
    """Two hundred requests for the list, through both APIs and eight at a time, cost the server at most a fifth."""
    async with lists() as server, serving(settings_of(tmp_path, server.url)) as process:
        async with httpx.AsyncClient(timeout=30) as http:

            async def ask(number: int) -> None:
                answer = await http.get(process.url + ("/v1/models" if number % 2 else "/api/tags"))
                assert answer.status_code == 200, answer.text
                assert "up/m" in answer.text

            for start in range(0, ASKED, 8):
                await asyncio.gather(*(ask(number) for number in range(start, start + 8)))
        assert server.asked <= ASKED / 5
        assert server.asked == 1


async def test_the_command_line_answers_from_what_was_heard(tmp_path: Path) -> None:
    """A second process asks nobody, even where the server is gone; ``--refresh`` asks."""
    async with lists() as server:
        settings = settings_of(tmp_path, server.url)
        assert [await listed(settings) for _ in range(3)] == [["up/m"]] * 3
        assert server.asked == 1
        server.model = "new"
        assert await listed(settings, "--refresh") == ["up/new"]
        assert await listed(settings) == ["up/new"]
        assert server.asked == 2
    assert await listed(settings) == ["up/new"]
