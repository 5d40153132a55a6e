"""The plugin: provides a transport for every instance that has none from another plugin."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from localagent import Instance, Plugin, Settings, hookimpl
from localagent.records import PoolStats
from localagent_connect_aiohttp.permits import Permits
from localagent_connect_aiohttp.settings import AiohttpConnectSettings

if TYPE_CHECKING:
    from localagent_connect_aiohttp.transport import AiohttpTransport


class AiohttpConnectPlugin(Plugin):
    """Provides the default transport, after all other plugins that provide one."""

    name = "connect-aiohttp"
    settings_class = AiohttpConnectSettings
    settings: AiohttpConnectSettings

    async def __aenter__(self) -> Self:
        limit = self.settings.limit
        self._total = Permits(limit) if limit is not None else None
        self._transports: dict[Instance, AiohttpTransport] = {}
        self._unwatch = self.core.instances.watch(self._changed)
        for instance in self.core.instances:
            self._changed("added", instance)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unwatch()
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    @hookimpl(after="*", must=True)
    async def connect(self, instance: Instance) -> AiohttpTransport:
        """Return the transport of an instance."""
        return self._transport(instance)

    def figures(self) -> dict[str, PoolStats]:
        """Return the connection statistics of each instance, by its id."""
        return {instance.id: transport.stats() for instance, transport in self._transports.items()}

    def remarks(self, settings: Settings) -> Iterator[str]:
        """Report how connections of each provider are kept."""
        for name, provider in settings.providers.items():
            profile = self.settings.profile(name, provider.type, provider.pool)
            yield f"{name} has at most {profile.limit} connections at a time, kept idle for {profile.keepalive:g} s."

    def _transport(self, instance: Instance) -> AiohttpTransport:
        made = self._transports.get(instance)
        if made is None:
            from localagent_connect_aiohttp.transport import AiohttpTransport

            keep_to = self.core.connect_settings(instance)
            made = AiohttpTransport(instance, keep_to, self.settings, total=self._total, spawn=self.core.spawn)
            self._transports[instance] = made
        return made

    def _changed(self, what: Literal["added", "draining", "removed"], instance: Instance) -> None:
        if what == "added" and self.settings.warm:
            self._transport(instance).make_ready(self.settings.warm)
        elif what == "removed" and (transport := self._transports.pop(instance, None)) is not None:
            self.core.spawn(transport.aclose(), "close a transport")
