"""A provider for tests with real sockets: any server with the OpenAI schema at an address."""

from __future__ import annotations

from collections.abc import Sequence

from localagent import NoSettings, OpenAICompatible, Plugin, ProviderSetup, ProviderType, hookimpl

NOWHERE = "http://nowhere.invalid/v1"


class WirePlugin(Plugin):
    """Brings the provider type ``wire``: the OpenAI schema at an address, without vendor features.

    ::

        async with FaultServer(script) as server:
            settings = {"providers": {"wire": {"instances": [server.url]}}}
            async with Client(settings, plugins=[AiohttpConnectPlugin, WirePlugin]) as client:
                await client.chat("Hello.", model="wire/m")
    """

    name = "provider-wire"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        """Return the type."""
        return [ProviderType(name="wire", settings=NoSettings, make=_make)]


def _make(setup: ProviderSetup) -> OpenAICompatible:
    return OpenAICompatible(setup, *setup.instances(NOWHERE))
