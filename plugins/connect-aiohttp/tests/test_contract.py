"""The plugin keeps the contract of connect plugins, its transport that of transports, tuned or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from localagent.records import ConnectSettings, PoolProfile, SizeLimits
from localagent_connect_aiohttp import AiohttpConnectPlugin, AiohttpConnectSettings, AiohttpTransport, Permits
from localagent_testing import ConnectContract, FakeCore, TransportContract
from localagent_testing.contracts.exchanging import CAPS, HERE, POOL


class TestConnectAiohttp(ConnectContract):
    plugin = AiohttpConnectPlugin
    one_ready = {"warm": 1}  # noqa: RUF012 - a contract's class says what it is


class TestAiohttpTransport(TransportContract):
    @asynccontextmanager
    async def transport(
        self, *, pool: PoolProfile = POOL, size_limits: SizeLimits = CAPS
    ) -> AsyncIterator[AiohttpTransport]:
        made = AiohttpTransport(attrs.evolve(HERE, pool=pool), ConnectSettings(size_limits))
        try:
            yield made
        finally:
            await made.aclose()


class TestWithinATotal(TransportContract):
    @asynccontextmanager
    async def transport(
        self, *, pool: PoolProfile = POOL, size_limits: SizeLimits = CAPS
    ) -> AsyncIterator[AiohttpTransport]:
        instance, settings = attrs.evolve(HERE, pool=pool), AiohttpConnectSettings(limit=1000)
        async with FakeCore() as core:
            made = AiohttpTransport(
                instance, ConnectSettings(size_limits), settings, total=Permits(1000), spawn=core.spawn
            )
            try:
                yield made
            finally:
                await made.aclose()
