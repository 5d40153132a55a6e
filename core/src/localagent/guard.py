"""The guard around every run: what ended a call, a stream or a flight, as one typed error."""

from __future__ import annotations

import asyncio

from localagent.errors import InternalError, LocalAgentError
from localagent.plan import out_of_time
from localagent.timer import STRAY, Timer


def failure_of(error: BaseException, timer: Timer, who: str = "LocalAgent") -> LocalAgentError | None:
    """Return the typed error of what ended a run; a cancellation of the timer's own is claimed.

    Args:
        error: What was raised.
        timer: The call's timer.
        who: Whose code an exception that has no type of ours came from.

    Returns:
        The error; None when somebody else cancelled the run or the process is about to end: raise ``error`` again.
    """
    if isinstance(error, LocalAgentError):
        return error
    if isinstance(error, asyncio.CancelledError):
        fired = timer.claim()
        if fired is None:
            return None
        return defect(error, who) if fired is STRAY else out_of_time(fired)
    return defect(error, who) if isinstance(error, Exception) else None


def defect(error: BaseException, who: str = "LocalAgent") -> InternalError:
    """Return the typed error of an exception that should not have been raised; it is linked as the cause."""
    made = InternalError(f"{who} failed: {type(error).__name__}.", mend="See the log with --debug.")
    made.__cause__ = error
    return made
