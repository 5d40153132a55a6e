"""The transport that a connect plugin brings for an instance, for the duration of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from localagent import Instance, Plugin, Transport
from localagent.records import ConnectSettings, Pooled, PoolProfile, PoolStats
from localagent.settings import structure
from localagent_testing.authority import Authority
from localagent_testing.contracts.base import Contract
from localagent_testing.fake_core import FakeCore
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import answer
from localagent_testing.steps import ReadRequest, Send

__all__ = ["GOOD", "BringsTransports", "Brought", "trusted"]

GOOD = (ReadRequest(), Send(answer(200, b"good")))


class Brought(NamedTuple):
    """A transport, and the core of the plugin that brought it."""

    transport: Transport
    core: FakeCore

    @property
    def stats(self) -> PoolStats:
        """The current figures."""
        assert isinstance(self.transport, Pooled), (
            "a connect plugin's transport must report how its connections are used"
        )
        return self.transport.stats()


class CoreThatTrusts(FakeCore):
    """A fake core whose providers trust an authority of their own.

    Args:
        authority: The PEM file; None for the system's authorities.
    """

    def __init__(self, authority: Path | None) -> None:
        super().__init__()
        self._authority = authority

    def connect_settings(self, instance: Instance) -> ConnectSettings:
        """Return the defaults, with the authority to trust."""
        return ConnectSettings(authority=self._authority)


class BringsTransports(Contract):
    """The part that the author of a connect plugin writes."""

    plugin: ClassVar[type[Plugin]]
    one_ready: ClassVar[Mapping[str, Any]]

    @asynccontextmanager
    async def brought(
        self,
        url: str,
        *,
        pool: PoolProfile | None = None,
        settings: Mapping[str, Any] | None = None,
        authority: Path | None = None,
    ) -> AsyncIterator[Brought]:
        """Yield the transport of an instance, and close it and the plugin at the end, as the core does.

        Args:
            url: The instance's address.
            pool: The settings of its connections.
            settings: The plugin's table of the settings.
            authority: The PEM file of the authority that it trusts.
        """
        filled: Any = structure(self.plugin.settings_class, settings or {}, where=f"[plugins.{self.plugin.name}]")
        async with CoreThatTrusts(authority) as core, core.plugged(self.plugin, filled) as plugged:
            instance = Instance("here", "here", "openai", url, pool=pool or PoolProfile(limit=20))
            core.instances.add(instance)
            transport = await plugged.ask("connect", instance)
            assert transport is not None, "the plugin must bring a transport for an instance with plain HTTP/1.1"
            try:
                yield Brought(transport, core)
            finally:
                await core.settled()
                await transport.aclose()


@asynccontextmanager
async def trusted() -> AsyncIterator[tuple[FaultServer, Path]]:
    """Yield a server with a certificate, and the PEM file of the authority that issued it."""
    authority = Authority()
    with authority.file() as file:
        async with FaultServer(GOOD, tls=authority.good()) as server:
            yield server, file
