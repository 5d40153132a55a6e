"""Model servers that one process runs for several: here the several are clients of one event loop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localagent import Client, LocalAgentError
from localagent.errors import SettingsError
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_llamacpp.plugin import LlamaCppPlugin, LlamaCppSettings
from localagent_provider_llamacpp.shared_servers import SharedServers
from localagent_provider_llamacpp.supervisor import ModelServer

SMALL: dict[str, Any] = {"context": 256, "threads": 1, "batch": 64}


@asynccontextmanager
async def shared(model: Path, folder: Path) -> AsyncIterator[SharedServers]:
    """Run one shared server of a model."""
    settings = LlamaCppSettings(model=str(model), **SMALL)
    async with SharedServers([ModelServer(settings)], folder / "s") as servers:
        yield servers


def client(model: Path, folder: Path) -> Client:
    settings = {"providers": {"llamacpp": {**SMALL, "model": str(model)}}}
    environment = {"LOCALAGENT_SHARED": msgspec.json.encode({"llamacpp": f"{folder}/s"}).decode()}
    return Client(settings, plugins=[AiohttpConnectPlugin, LlamaCppPlugin], environment=environment)


async def ask(made: Client) -> str:
    return (await made.chat("Hello.", max_tokens=4, temperature=0)).text


async def test_two_clients_use_one_process(tiny_model: Path, tmp_path: Path) -> None:
    """Nothing is started before the first request; then one process answers both."""
    async with (
        shared(tiny_model, tmp_path) as servers,
        client(tiny_model, tmp_path) as one,
        client(tiny_model, tmp_path) as two,
    ):
        (server,) = servers.servers
        assert (await one.health())[0].health == "healthy"
        assert server.state == "new"
        answers = await asyncio.gather(ask(one), ask(two))
        assert answers[0] == answers[1]
        assert (server.state, server.restarts) == ("ready", 0)


async def test_a_process_that_died_serves_all_again(tiny_model: Path, tmp_path: Path) -> None:
    """The new address and key reach every client."""
    async with (
        shared(tiny_model, tmp_path) as servers,
        client(tiny_model, tmp_path) as one,
        client(tiny_model, tmp_path) as two,
    ):
        before = await asyncio.gather(ask(one), ask(two))
        (server,) = servers.servers
        first = server.endpoint
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await server.left(first)
        await server.ready()
        while [text for made in (one, two) if (text := await asked(made)) is None]:
            pass
        assert await asyncio.gather(ask(one), ask(two)) == before


async def asked(made: Client) -> str | None:
    """Return the answer; None when the client has not heard yet that the process died."""
    try:
        return await ask(made)
    except LocalAgentError:
        return None


async def test_a_model_that_cannot_be_loaded_is_the_same_error(tmp_path: Path) -> None:
    """A client gets the same error as the process that runs the servers."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    async with shared(broken, tmp_path), client(broken, tmp_path) as made:
        for _ in range(2):
            with pytest.raises(SettingsError, match=r"broken\.gguf"):
                await ask(made)


async def test_the_owner_s_end_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    """When the process that runs the servers ends, requests fail with that reason."""
    async with client(tiny_model, tmp_path) as made:
        async with shared(tiny_model, tmp_path):
            await ask(made)
        with pytest.raises(LocalAgentError):
            await ask(made)
        with pytest.raises(LocalAgentError, match="has ended"):
            await ask(made)


async def test_only_the_user_can_open_the_socket(tiny_model: Path, tmp_path: Path) -> None:
    """The servers' keys go through it."""
    async with shared(tiny_model, tmp_path):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"{}\n", b'{"number": 7}\n', b'{"number": "x"}\n', b"\xff\n", b"x" * 100_000]
)
async def test_a_line_that_is_none_of_ours_ends_its_connection_only(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    """The servers are there for the next one, and nothing failed."""
    async with shared(tiny_model, tmp_path), client(tiny_model, tmp_path) as made:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(line)
        assert await reader.read() == b""
        writer.close()
        assert await ask(made)
    assert "failed" not in caplog.text


async def test_a_reload_may_start_a_model_that_was_given_up(tiny_model: Path, tmp_path: Path) -> None:
    """A client that comes later asks for it again."""
    model = tmp_path / "late.gguf"
    model.write_bytes(tiny_model.read_bytes()[:500_000])  # noqa: ASYNC240 - a file of the test
    now = [0.0]
    settings = LlamaCppSettings(model=str(model), **SMALL)
    async with SharedServers([ModelServer(settings, clock=lambda: now[0])], tmp_path / "s"):
        async with client(model, tmp_path) as made:
            with pytest.raises(LocalAgentError, match="could not load"):
                await ask(made)
        model.write_bytes(tiny_model.read_bytes())  # noqa: ASYNC240 - a file of the test
        now[0] += 60
        async with client(model, tmp_path) as made:
            assert await ask(made)
