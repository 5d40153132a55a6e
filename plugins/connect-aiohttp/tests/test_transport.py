"""The default transport keeps the contract of transports, and a few promises of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from localagent.errors import ConnectFailed, SettingsError
from localagent.instances import PoolProfile
from localagent.transport import Caps
from localagent_connect_aiohttp.transport import AiohttpTransport, sessions
from localagent_testing import Authority, FaultServer, ReadRequest, Send, TransportContract, answer
from localagent_testing.contracts.exchanging import CAPS, HERE, POOL, fetch

GOOD = (ReadRequest(), Send(answer(200, b"good")))


class TestAiohttpTransport(TransportContract):
    @asynccontextmanager
    async def transport(self, *, pool: PoolProfile = POOL, caps: Caps = CAPS) -> AsyncIterator[AiohttpTransport]:
        instance = attrs.evolve(HERE, pool=pool)
        async with sessions() as opened:
            yield AiohttpTransport(instance, opened, caps)


async def test_an_authority_that_changes_holds_for_new_connections(tmp_path: Path) -> None:
    """Its file is read again when it has changed, also when another file took its place."""
    first, second = Authority(), Authority()
    with first.file() as one, second.file() as two:
        trusted = tmp_path / "authority.pem"
        trusted.symlink_to(one)
        async with (
            FaultServer(GOOD, tls=first.good()) as old,
            FaultServer(GOOD, tls=second.good()) as new,
            sessions() as opened,
        ):
            transport = AiohttpTransport(HERE, opened, CAPS, trusted)
            for _ in range(2):
                assert await fetch(transport, old.url) == b"good"
            with pytest.raises(ConnectFailed):
                await fetch(transport, new.url)
            trusted.unlink()
            trusted.symlink_to(two)
            assert await fetch(transport, new.url) == b"good"
            with pytest.raises(ConnectFailed):
                await fetch(transport, old.url)
            assert old.connections.accepted == 1
            trusted.unlink()
            with pytest.raises(SettingsError):
                await fetch(transport, new.url)


async def test_each_instance_keeps_its_connections_for_its_own_time() -> None:
    """Transports share a session, not how long they keep connections; the longest is not cut by the shortest."""
    async with FaultServer(GOOD) as brief, FaultServer(GOOD) as long, sessions() as opened:
        short, patient = (
            AiohttpTransport(attrs.evolve(HERE, pool=PoolProfile(keepalive=seconds)), opened) for seconds in (0.0, 60.0)
        )
        for _ in range(3):
            await fetch(patient, long.url)
            await fetch(short, brief.url)
        assert (long.connections.accepted, brief.connections.accepted) == (1, 3)
