"""The transport keeps the contract of transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from localagent.records import ConnectSettings, PoolProfile, SizeLimits
from localagent_connect_fast import FastTransport, Resolver
from localagent_testing import TransportContract
from localagent_testing.contracts.exchanging import CAPS, HERE, POOL


class TestFastTransport(TransportContract):
    @asynccontextmanager
    async def transport(
        self, *, pool: PoolProfile = POOL, size_limits: SizeLimits = CAPS
    ) -> AsyncIterator[FastTransport]:
        resolver = Resolver()
        made = FastTransport(attrs.evolve(HERE, pool=pool), resolver, ConnectSettings(size_limits))
        try:
            yield made
        finally:
            await made.aclose()
            await resolver.aclose()
