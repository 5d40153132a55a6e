"""Time limits, timers, work that would hold up the event loop, and what a fork changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.timing.forks import Forks as Forks, after_fork as after_fork
    from localagent.timing.phases import PhaseTimer as PhaseTimer
    from localagent.timing.timeouts import Timeouts as Timeouts
    from localagent.timing.timer import NEVER as NEVER, Timer as Timer
    from localagent.timing.work import (
        in_thread as in_thread, let_others_run as let_others_run, resolve_name as resolve_name,
    )
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "forks": "Forks after_fork",
        "phases": "PhaseTimer",
        "timeouts": "Timeouts",
        "timer": "NEVER Timer",
        "work": "in_thread let_others_run resolve_name",
    },
)
