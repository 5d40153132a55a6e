"""What the plugin does beyond its contract: connections before they are needed, names that move, what it tells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import localagent_connect_aiohttp
from localagent import Instance, Settings
from localagent.records import PoolProfile
from localagent.settings import structure
from localagent_connect_aiohttp import AiohttpConnectPlugin, AiohttpConnectSettings, AiohttpTransport
from localagent_testing import FakeCore, FaultServer, Hold, ReadRequest, Send, answer
from localagent_testing.contracts.connect import NAME, resolve_to
from localagent_testing.contracts.exchanging import fetch

GOOD = (ReadRequest(), Send(answer(200, b"good")))
HELD = (ReadRequest(), Hold(60.0), Send(answer(200, b"good")))


@asynccontextmanager
async def pooled(url: str, limit: int = 10, **settings: Any) -> AsyncIterator[tuple[FakeCore, AiohttpTransport]]:
    filled = structure(AiohttpConnectSettings, settings, where="test")
    async with FakeCore() as core, core.plugged(AiohttpConnectPlugin, filled) as plugged:
        instance = Instance("here", "here", "openai", url, pool=PoolProfile(limit))
        core.instances.add(instance)
        yield core, await plugged.ask("connect", instance)
        await core.settled()


@pytest.mark.parametrize(("limit", "warm", "opened"), [(10, 3, 3), (3, 10, 2), (1, 1, 0), (10, 0, 0)])
async def test_so_many_are_opened_at_the_start(limit: int, warm: int, opened: int) -> None:
    """As many as the settings say; the last that may be is left to a request."""
    async with FaultServer(GOOD) as server, pooled(server.url, limit, warm=warm) as (core, transport):
        await core.settled()
        assert (transport.stats().idle, transport.stats().opened) == (opened, opened)
        assert server.connections.accepted == opened
        assert server.requests == []


@pytest.mark.parametrize(("spare", "opened"), [(0, 2), (2, 4)])
async def test_more_are_opened_while_load_rises(spare: int, opened: int) -> None:
    """When a second request finds no idle connection, the third and fourth do not wait for a handshake."""
    async with FaultServer(HELD) as server, pooled(server.url, spare=spare) as (core, transport):
        tasks = [asyncio.ensure_future(fetch(transport, server.url)) for _ in range(2)]
        await server.arrived(2)
        server.release()
        await asyncio.gather(*tasks)
        await core.settled()
        assert transport.stats().opened == opened


async def test_a_request_that_is_alone_opens_one_connection() -> None:
    """A program that asks one question pays for one."""
    async with FaultServer(GOOD) as server, pooled(server.url, spare=5) as (core, transport):
        await fetch(transport, server.url)
        await core.settled()
        assert server.connections.accepted == 1


async def test_there_are_never_more_connections_than_the_limit_with_those_that_are_ready() -> None:
    """Opening ahead counts, however eager."""
    async with FaultServer(GOOD) as server, pooled(server.url, 4, warm=9, spare=9) as (_, transport):
        most = 0
        for _ in range(5):
            await asyncio.gather(*(fetch(transport, server.url) for _ in range(12)))
            most = max(most, server.connections.open)
            stats = transport.stats()
            assert stats.active + stats.idle <= 4
        assert most <= 4


async def test_all_instances_keep_the_total_limit() -> None:
    """Two instances, three connections in total: of twenty requests three are on their way, and all are answered."""
    filled = AiohttpConnectSettings(limit=3, spare=0)
    async with FaultServer(HELD) as server, FakeCore() as core, core.plugged(AiohttpConnectPlugin, filled) as plugged:
        instances = [Instance(name, name, "openai", server.url) for name in ("one", "two")]
        one, two = [await plugged.ask("connect", instance) for instance in instances]
        tasks = [asyncio.ensure_future(fetch(transport, server.url)) for transport in (one, two) * 10]
        await server.arrived(3)
        assert one.stats().active + two.stats().active == 3
        assert one.stats().waiting + two.stats().waiting == 17
        server.release()
        assert await asyncio.gather(*tasks) == [b"good"] * 20
        assert [stats.active for stats in plugged.plugin.figures().values()] == [0, 0]


async def test_five_hundred_at_once() -> None:
    """Five hundred calls are on their way at the same time, over five hundred connections."""
    async with FaultServer(HELD) as server, pooled(server.url, 500) as (_, transport):
        tasks = [asyncio.ensure_future(fetch(transport, server.url)) for _ in range(500)]
        await server.arrived(500)
        assert (transport.stats().active, transport.stats().waiting) == (500, 0)
        server.release()
        assert await asyncio.gather(*tasks) == [b"good"] * 500


@pytest.mark.skipif(sys.platform != "linux", reason="needs two loopback addresses")
async def test_a_server_that_has_moved_is_found_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remembered address at which nobody answers any more is resolved and tried again within the same request."""
    addresses = resolve_to(monkeypatch, "127.0.0.2")
    async with FaultServer(GOOD) as server:
        url = server.url.replace("127.0.0.1", NAME)
        async with pooled(url, resolve_every=3600) as (_, transport):
            async with await asyncio.start_server(answers_once, "127.0.0.2", server.port):
                assert await fetch(transport, url) == b"old"
            addresses[:] = ["127.0.0.1"]
            assert await fetch(transport, url) == b"good"
            assert (transport.stats().opened, transport.stats().failed) == (2, 0)


async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(200, b"old", headers={"Connection": "close"}))
    writer.close()
    await writer.wait_closed()


async def test_an_instance_that_goes_takes_its_connections_along() -> None:
    """Also when the core never asked for its transport."""
    filled = AiohttpConnectSettings(warm=2)
    async with FaultServer(GOOD) as server, FakeCore() as core, core.plugged(AiohttpConnectPlugin, filled) as plugged:
        instance = Instance("here", "here", "openai", server.url)
        core.instances.add(instance)
        await core.settled()
        assert server.connections.open == 2
        core.instances.drain(instance)
        await server.all_closed()
        assert plugged.plugin.figures() == {}


def test_the_http_client_is_loaded_with_the_first_transport() -> None:
    """Overviews, and programs whose answers come from a cache, do not wait for the import."""
    program = "import sys, localagent_connect_aiohttp as one; {}; print('aiohttp' in sys.modules)"
    loaded = [
        subprocess.run([sys.executable, "-c", program.format(line)], capture_output=True, text=True, check=True).stdout
        for line in ("one.AiohttpConnectPlugin()", "one.AiohttpTransport", "one.Sessions")
    ]
    assert loaded == ["False\n", "True\n", "True\n"]
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        assert localagent_connect_aiohttp.Other


def test_explain_tells_what_holds_for_each_provider() -> None:
    """Limit and keep-alive, with what the provider itself says."""
    settings = Settings().with_provider("a", {}, "test").with_provider("v", {"pool": {"limit": 7}}, "test")
    own = AiohttpConnectSettings(profiles={"a": PoolProfile(10, 60.0)})
    assert list(AiohttpConnectPlugin(own).remarks(settings)) == [
        "a has at most 10 connections at a time, kept idle for 60 s.",
        "v has at most 7 connections at a time, kept idle for 4 s.",
    ]
