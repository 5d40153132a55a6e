"""The default transport keeps the contract of transports, and a few promises of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from localagent.instances import PoolProfile
from localagent.testing import TransportContract
from localagent.testing.contracts.exchanging import CAPS, HERE, POOL
from localagent.transport import Caps
from localagent.wire.aiohttp_transport import AiohttpTransport, sessions


class TestAiohttpTransport(TransportContract):
    @asynccontextmanager
    async def transport(self, *, pool: PoolProfile = POOL, caps: Caps = CAPS) -> AsyncIterator[AiohttpTransport]:
        instance = attrs.evolve(HERE, pool=pool)
        async with sessions() as opened:
            yield AiohttpTransport(instance, opened, caps)
