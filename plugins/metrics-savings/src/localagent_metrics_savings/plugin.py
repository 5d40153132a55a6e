"""The plugin: sums up in memory what the calls saved, and adds the sums to the file at intervals."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from types import TracebackType
from typing import Self

from localagent import LocalAgentError, Metric, Plugin, hookimpl
from localagent.timing import in_thread
from localagent_metrics_savings.ledger import DAY_SECONDS, FILE_NAME, OTHERS, Amount, Line, add, read
from localagent_metrics_savings.settings import SavingsSettings

log = logging.getLogger("localagent")

FLIGHTS = "flights"
"""Used instead of a plugin's name for calls that shared a flight of the core."""


class SavingsPlugin(Plugin):
    """Counts the calls that were saved and those that were not, so that a percentage can be shown."""

    name = "metrics-savings"
    settings_class = SavingsSettings
    settings: SavingsSettings
    survives_reload = True
    needs_usage = True

    async def __aenter__(self) -> Self:
        self._pending: dict[Line, Amount] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._warned = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.flushed()

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        """Count a call that was answered."""
        if metric.status != "ok":
            return
        plugin = metric.cached or (FLIGHTS if metric.coalesced else "")
        line = Line(self._today(), plugin, metric.model, metric.tenant)
        usage = metric.usage
        self._count(line, Amount(
            1,
            (usage.prompt_tokens or 0) if usage else 0,
            (usage.completion_tokens or 0) if usage else 0,
            metric.saved if plugin else metric.seconds,
        ))  # fmt: skip
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.settings.interval, self._flush)

    async def flushed(self) -> None:
        """Add the pending amounts to the file; if that fails, they stay in memory for the next time."""
        async with self._writing:
            amounts, self._pending = self._pending, {}
            if not amounts:
                return
            try:
                path, oldest = self.core.folder / FILE_NAME, self._today() - self.settings.days
                await in_thread(add, path, amounts, oldest, self.settings.lines)
            except (OSError, sqlite3.Error, LocalAgentError) as error:
                self._failed(error)
                for line, amount in amounts.items():
                    self._count(line, amount)

    async def saved(self, days: int) -> dict[Line, Amount]:
        """Return the amounts of the last days, today included, of every process that shares the folder.

        Args:
            days: The number of days.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        await self.flushed()
        try:
            path = self.core.folder / FILE_NAME
        except LocalAgentError as error:
            self._failed(error)
            return dict(self._pending)
        return await in_thread(read, path, self._today() - days + 1)

    def _today(self) -> int:
        return int(self.core.wall_time() // DAY_SECONDS)

    def _count(self, line: Line, amount: Amount) -> None:
        if line not in self._pending and len(self._pending) >= self.settings.lines:
            line = Line(line.day, line.plugin, OTHERS, OTHERS)
        self._pending.setdefault(line, Amount()).add(amount)

    def _flush(self) -> None:
        self._timer = None
        self.core.spawn(self.flushed(), "keep savings")

    def _failed(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        if isinstance(error, sqlite3.Error):
            log.warning("Savings cannot be added to their file and are kept only in memory: %s.", error)
        else:
            self.core.not_kept("what was saved", error)
