"""Writes the history at intervals, and at the end; failures of the disk never affect a call."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from localagent import Core, LocalAgentError, Stats
from localagent.timing import in_thread
from localagent_metrics_summary.history import DAY_SECONDS, FILE_NAME, difference, read, write
from localagent_metrics_summary.settings import SummarySettings

log = logging.getLogger("localagent")


class Recorder:
    """Writes what was counted since the last time.

    Args:
        core: The core of the plugin.
        settings: The settings.
        collect: Returns the counts so far.
    """

    def __init__(self, core: Core, settings: SummarySettings, collect: Callable[[], Stats]) -> None:
        self._core = core
        self._settings = settings
        self._collect = collect
        self._written = Stats()
        self._timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._warned = False

    def wake(self) -> None:
        """Write after the interval; called for each operation."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._settings.interval, self._due)

    async def aclose(self) -> None:
        """Write the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.write()

    async def write(self) -> None:
        """Add what was counted since the last time; if that fails, it is part of the next interval."""
        async with self._writing:
            now = self._collect().counted()
            news = difference(now, self._written)
            if not len(news):
                return
            ended = self._core.wall_time()
            try:
                path = self._core.folder / FILE_NAME
                await in_thread(write, path, ended, news, ended - self._settings.days * DAY_SECONDS)
            except (OSError, sqlite3.Error, LocalAgentError) as error:
                self._failed(error)
            else:
                self._written = now

    async def read(self, days: float) -> Stats:
        """Return what all processes that share the folder have counted in the last days.

        Raises:
            sqlite3.Error: The file cannot be read.
            SettingsError: There is no folder.
        """
        await self.write()
        since = self._core.wall_time() - days * DAY_SECONDS
        return await in_thread(read, self._core.folder / FILE_NAME, since)

    def _due(self) -> None:
        self._timer = None
        self._core.spawn(self.write(), "keep the history")

    def _failed(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            if isinstance(error, sqlite3.Error):
                log.warning("The history of operations cannot be written: %s.", error)
            else:
                self._core.not_kept("the history of operations", error)
