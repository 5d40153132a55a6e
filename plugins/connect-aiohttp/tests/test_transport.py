"""What the transport promises beyond the contract: whom it trusts, how long it keeps connections, what it costs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from localagent.errors import ConnectFailed, SettingsError
from localagent.records import ConnectSettings, PoolProfile
from localagent_connect_aiohttp import AiohttpConnectSettings, AiohttpTransport, Sessions
from localagent_testing import Authority, FaultServer, ReadRequest, Send, answer
from localagent_testing.contracts.exchanging import CAPS, HERE, fetch

GOOD = (ReadRequest(), Send(answer(200, b"good")))


@asynccontextmanager
async def opened(*arguments: Any, **more: Any) -> AsyncIterator[AiohttpTransport]:
    """Make a transport, and close it at the end."""
    transport = AiohttpTransport(*arguments, **more)
    try:
        yield transport
    finally:
        await transport.aclose()


async def test_an_authority_that_changes_holds_for_new_connections(tmp_path: Path) -> None:
    """Its file is read again when it has changed, also when another file took its place."""
    first, second = Authority(), Authority()
    with first.file() as one, second.file() as two:
        trusted = tmp_path / "authority.pem"
        trusted.symlink_to(one)
        async with (
            FaultServer(GOOD, tls=first.good()) as old,
            FaultServer(GOOD, tls=second.good()) as new,
            opened(HERE, ConnectSettings(CAPS, trusted)) as transport,
        ):
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
    """The longest is not cut by the shortest; with 0 s a connection is closed behind its answer."""
    async with (
        FaultServer(GOOD) as brief,
        FaultServer(GOOD) as long,
        opened(attrs.evolve(HERE, pool=PoolProfile(keepalive=0.0))) as short,
        opened(attrs.evolve(HERE, pool=PoolProfile(keepalive=60.0))) as patient,
    ):
        for _ in range(3):
            await fetch(patient, long.url)
            await fetch(short, brief.url)
        assert (long.connections.accepted, brief.connections.accepted) == (1, 3)
        await brief.all_closed()
        assert short.stats().idle == 0


def sessions_made(monkeypatch: pytest.MonkeyPatch) -> list[Sessions]:
    """Return the list in which every session that is made is noted, by what made it."""
    made: list[Sessions] = []
    make = Sessions._make
    monkeypatch.setattr(Sessions, "_make", lambda self: (made.append(self), make(self))[1])
    return made


async def test_a_session_is_made_with_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that sends nothing costs no session; one that sends has one of its own."""
    made = sessions_made(monkeypatch)
    async with FaultServer(GOOD) as server, opened(HERE) as used, opened(HERE) as unused:
        for _ in range(2):
            await fetch(used, server.url)
        assert (len(made), used.stats().opened, unused.stats().opened) == (1, 1, 0)


async def test_nothing_is_opened_ahead_where_nothing_can_be_spawned() -> None:
    """A transport outside of a plugin has nowhere to do it."""
    async with FaultServer(GOOD) as server, opened(HERE, settings=AiohttpConnectSettings(spare=5)) as transport:
        transport.make_ready(3)
        await asyncio.gather(*(fetch(transport, server.url) for _ in range(2)))
        assert server.connections.accepted == 2


async def test_sessions_may_resolve_names_their_own_way() -> None:
    """A resolver that is passed in is asked; its maker closes it."""
    resolver = OneAddress()
    async with FaultServer(GOOD) as server, opened(HERE, sessions=Sessions(resolver=resolver)) as transport:
        assert await fetch(transport, server.url.replace("127.0.0.1", "there.test")) == b"good"
    assert (resolver.asked, resolver.closed) == (["there.test"], False)


class OneAddress(AbstractResolver):
    """Every name is this machine."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = False

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        self.asked.append(host)
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        self.closed = True
