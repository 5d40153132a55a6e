"""Counts and logs failures of plugins that are not passed to the user."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from localagent.supervision import place_of

if TYPE_CHECKING:
    from localagent.pipeline.steps import Step

log = logging.getLogger("localagent")


class PluginFailures:
    """Failures that are not passed to the user: counted, and logged once a minute for each plugin and hook."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._logged: dict[tuple[str, str], float] = {}

    def note(self, step: Step, error: BaseException) -> None:
        """Count a failure; log it unless this pair was logged within the last minute."""
        pair = (step.plugin, step.spec.name)
        self.counts[pair] += 1
        now = self._clock()
        if now - self._logged.get(pair, -60.0) >= 60.0:
            self._logged[pair] = now
            cause = error.__cause__ or error
            name, place = type(cause).__name__, place_of(cause)  # no message: it may contain a prompt
            where = f" at {place}" if place else ""
            log.warning("Plugin %s failed in %s: %s%s (further failures are only counted).", *pair, name, where)
