"""How long idle connections are kept: never longer than the server says."""

from __future__ import annotations

import pytest

from localagent import Instance
from localagent.records import PoolProfile
from localagent_connect_aiohttp import AiohttpTransport
from localagent_testing import FaultServer, ReadRequest, Script, Send, answer
from localagent_testing.contracts.exchanging import fetch


def keeping(said: str) -> Script:
    return ReadRequest(), Send(answer(200, b"", headers={"Keep-Alive": said}))


@pytest.mark.parametrize(("said", "kept"), [("timeout=5", 4.0), ("timeout=600", 30.0), ("max=3", 30.0)])
async def test_the_profile_is_shortened_and_never_prolonged(said: str, kept: float) -> None:
    """What a server says holds for its instance from the first answer on."""
    async with FaultServer(keeping(said)) as server:
        instance = Instance("a", "a", "openai", server.url, pool=PoolProfile(10, 30.0))
        transport = AiohttpTransport(instance)
        await fetch(transport, server.url)
        assert transport.keepalive == kept
        await transport.aclose()


async def test_a_server_that_keeps_nothing_is_not_asked_over_an_old_connection() -> None:
    """``timeout=0``: each request gets a connection of its own."""
    async with FaultServer(keeping("timeout=0")) as server:
        instance = Instance("a", "a", "openai", server.url)
        transport = AiohttpTransport(instance)
        for _ in range(3):
            await fetch(transport, server.url)
        assert (server.connections.accepted, transport.stats().reused) == (3, 0)
        await transport.aclose()
