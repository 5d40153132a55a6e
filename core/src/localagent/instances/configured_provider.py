"""A configured provider in use: opened once, closed once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from localagent.errors import Draining
from localagent.plugin_api.providers import Provider, ProviderType

if TYPE_CHECKING:
    from localagent.settings.provider import ProviderSettings


@attrs.define(eq=False)
class ConfiguredProvider:
    """A configured provider in use.

    Attributes:
        name: Its name in the settings.
        type: Its type.
        provider: The object that the plugin created.
        common: The settings that all providers have, such as timeouts.
        why: Why it exists: it is named in the settings, or was detected automatically.
        opened: Whether ``Provider.open`` has succeeded.
    """

    name: str
    type: ProviderType
    provider: Provider
    common: ProviderSettings
    why: str
    opened: bool = False
    _opening: asyncio.Task[None] | None = None
    _closed: bool = False

    async def open(self) -> None:
        """Open the provider once; concurrent callers wait for the same opening. A failure is not remembered."""
        if self.opened:
            return
        if self._closed:
            raise Draining(f"The provider {self.name} is closed.")
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self.provider.open(), name=f"open {self.name}")
            self._opening.add_done_callback(self._done)
        await asyncio.shield(self._opening)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        self.opened = not task.cancelled() and task.exception() is None

    async def aclose(self) -> None:
        """Close the provider, open or not; it cannot be opened again."""
        self._closed, self.opened = True, False
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self.provider.aclose()
