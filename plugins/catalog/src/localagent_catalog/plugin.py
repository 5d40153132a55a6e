"""The plugin: answers with the lists that it remembers, and refreshes them when they get old."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import attrs

from localagent import Attempt, Instance, LocalAgentError, ModelInfo, Outcome, Plugin, hookimpl
from localagent.errors import ModelNotFound
from localagent.timing import in_thread
from localagent_catalog.nearness import is_near
from localagent_catalog.settings import CatalogSettings
from localagent_catalog.shelf import Identity, ModelList, Shelf, identity

JITTER = 0.1
"""The share by which the times of a list vary, so that many processes do not ask at the same time."""


@attrs.define
class _Entry:
    """A list with its deadlines.

    Attributes:
        kept: The list.
        fresh: Clock time until which it is fresh.
        until: Clock time until which it is used at all.
    """

    kept: ModelList
    fresh: float
    until: float


class CatalogPlugin(Plugin):
    """Remembers the models of each instance."""

    name = "catalog"
    settings_class = CatalogSettings
    settings: CatalogSettings
    survives_reload = True

    async def __aenter__(self) -> Self:
        self._entries: dict[Identity, _Entry] = {}
        self._asked: dict[Identity, float] = {}
        self._shelf: Shelf | None = Shelf(lambda: self.core.folder)
        self._writing: asyncio.Lock = asyncio.Lock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entries.clear()

    @hookimpl
    async def list_models(self, instance: Instance) -> Sequence[ModelInfo] | None:
        """Answer with a fresh list, or with a stale one while the instance is asked again."""
        now = self.core.clock()
        entry = self._entries.get(identity(instance))
        if entry is None or now >= entry.fresh:
            entry = self._from_file(instance) or entry
        if entry is None or now >= entry.until:
            return None
        if now >= entry.fresh:
            self._ask_again(instance)
        return entry.kept.models

    @hookimpl
    def models_listed(self, instance: Instance, models: Sequence[ModelInfo]) -> None:
        """Remember the list of an instance."""
        kept = ModelList(self.core.wall_time(), tuple(models))
        self._learn(instance, kept)
        self.core.spawn(self._write(instance, kept), "keep a model list")

    @hookimpl
    def after_attempt(self, attempt: Attempt, outcome: Outcome) -> None:
        """Ask an instance again that did not know a model: its remembered list may be outdated."""
        if isinstance(outcome.error, ModelNotFound):
            self._ask_again(attempt.target.instance)

    def _from_file(self, instance: Instance) -> _Entry | None:
        """Return the list that another process has stored since the last read."""
        if self._shelf is None:
            return None
        try:
            kept = self._shelf.newer(instance)
        except (OSError, LocalAgentError) as error:
            self._without_files(error)
            return None
        known = self._entries.get(identity(instance))
        if kept is None or (known is not None and kept.listed < known.kept.listed):
            return None
        return self._learn(instance, kept)

    def _learn(self, instance: Instance, kept: ModelList) -> _Entry:
        settings, now = self.settings, self.core.clock()
        age = self.core.wall_time() - kept.listed
        ttl = settings.local_ttl if is_near(instance.url) else settings.ttl
        good = ttl * self.core.random.uniform(1 - JITTER, 1 + JITTER)
        if age < 0:  # the wall clock was set back, so the age is unknown
            age = good
        entry = _Entry(kept, now + good - age, now + ttl * (1 + settings.stale) - age)
        self._entries[identity(instance)] = entry
        return entry

    def _ask_again(self, instance: Instance) -> None:
        """Ask an instance in the background, unless it was asked within the pause."""
        now, asked = self.core.clock(), identity(instance)
        if now < self._asked.get(asked, now):
            return
        self._asked[asked] = now + self.settings.pause * self.core.random.uniform(1, 1 + JITTER)
        self.core.spawn(self._ask(instance), "list models again")

    async def _ask(self, instance: Instance) -> None:
        with contextlib.suppress(LocalAgentError):  # the known list stays; doctor shows the state of the server
            await self.core.models.refresh(instance)

    async def _write(self, instance: Instance, kept: ModelList) -> None:
        shelf = self._shelf
        if shelf is None:
            return
        try:
            async with self._writing:
                await in_thread(shelf.keep, instance, kept)
        except (OSError, LocalAgentError) as error:
            self._without_files(error)

    def _without_files(self, error: Exception) -> None:
        """Continue in memory only, and report it once."""
        if self._shelf is not None:
            self._shelf = None
            self.core.not_kept("model lists", error)
