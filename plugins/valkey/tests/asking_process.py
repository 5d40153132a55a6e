"""A process that asks one question for each given tenant and prints who answered: ``URL PREFIX TENANT ...``."""

from __future__ import annotations

import asyncio
import sys

from localagent import Client
from localagent_testing import Reply, fake_provider_plugin
from localagent_valkey import ValkeyCachePlugin


async def main(url: str, prefix: str, *tenants: str) -> None:
    table = {"url": url, "prefix": prefix, "budget": "30 s"}
    plugins = [fake_provider_plugin(Reply("an answer of another process")), ValkeyCachePlugin]
    settings = {"plugins": {"cache-valkey": table}, "step_timeouts": {"cache_lookup": "30 s"}}
    async with Client(settings, plugins=plugins, environment={}) as client:
        for tenant in tenants:
            response = await client.chat("Hello.", temperature=0, tenant=tenant)
            print(tenant, response.cached or "model", response.text, sep="|")


asyncio.run(main(*sys.argv[1:]))
