"""The plugin: provides a transport for every instance that it supports, and reports the others."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from localagent import Instance, Plugin, Settings, hookimpl
from localagent_connect_fast.origins import is_spoken
from localagent_connect_fast.resolving import Resolver
from localagent_connect_fast.settings import FastConnectSettings
from localagent_connect_fast.transport import FastTransport


class FastConnectPlugin(Plugin):
    """Provides transports that use little CPU."""

    name = "connect-fast"
    settings_class = FastConnectSettings
    settings: FastConnectSettings

    _resolver: Resolver

    async def __aenter__(self) -> Self:
        self._resolver = Resolver(self.settings.resolve_every)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resolver.aclose()

    @hookimpl
    async def connect(self, instance: Instance) -> FastTransport | None:
        """Return the transport of an instance; None for one that is left to other plugins."""
        if instance.provider in self.settings.leave or not is_spoken(instance.url):
            return None
        return FastTransport(instance, self._resolver, self.core.connect_settings(instance))

    def remarks(self, settings: Settings) -> Iterator[str]:
        """Report which instances are left to other transports."""
        for name, provider in settings.providers.items():
            if name in self.settings.leave:
                yield f"leaves {name} to other transports, because the setting leave names it."
                continue
            for place in provider.instances:
                if not is_spoken(place.url):
                    yield f"leaves {place.url} of {name} to other transports: it supports only plain http and https."
