"""The plugin keeps the contract of connect plugins, its transport that of transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from localagent import Caps, ConnectSettings, Permits, PoolProfile
from localagent_connect_aiohttp import AiohttpConnectPlugin, AiohttpConnectSettings, PoolTransport
from localagent_testing import ConnectContract, FakeCore, TransportContract
from localagent_testing.contracts.exchanging import CAPS, HERE, POOL


class TestConnectPool(ConnectContract):
    plugin = AiohttpConnectPlugin
    one_ready = {"warm": 1}  # noqa: RUF012 - a contract's class says what it is


class TestPoolTransport(TransportContract):
    @asynccontextmanager
    async def transport(self, *, pool: PoolProfile = POOL, caps: Caps = CAPS) -> AsyncIterator[PoolTransport]:
        instance = attrs.evolve(HERE, pool=pool)
        async with FakeCore() as core:
            made = PoolTransport(
                instance, AiohttpConnectSettings(spare=0), ConnectSettings(caps), Permits(1000), core.spawn
            )
            try:
                yield made
            finally:
                await made.aclose()
