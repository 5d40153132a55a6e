"""Timeouts, timers, work that would block the event loop, and the effects of a fork."""

from __future__ import annotations

from localagent.timing.forks import Forks, after_fork
from localagent.timing.phases import PhaseTimer
from localagent.timing.timeouts import Timeouts
from localagent.timing.timer import NEVER, Timer
from localagent.timing.work import in_thread, let_others_run, resolve_name

__all__ = [
    "NEVER", "Forks", "PhaseTimer", "Timeouts", "Timer", "after_fork", "in_thread", "let_others_run", "resolve_name",
]  # fmt: skip
