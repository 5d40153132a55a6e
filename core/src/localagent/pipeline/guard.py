"""The guard around every run: what ended a call, an exchange, a stream or a flight, as one typed error."""

from __future__ import annotations

import asyncio
import copy
from typing import TypeVar

from localagent.errors import InternalError, LocalAgentError
from localagent.timing.timer import Cancellation, Timer

AnyError = TypeVar("AnyError", bound=LocalAgentError)

_MEND = "See the log with --debug."


def failure_of(error: BaseException, timer: Timer, who: str = "LocalAgent") -> LocalAgentError | None:
    """Return the typed error of what ended a run; a cancellation of the timer's own is claimed.

    Args:
        error: What was raised.
        timer: The call's timer.
        who: Whose code an exception that has no type of ours came from.

    Returns:
        The error; None when other code cancelled the run or the process is about to end: raise ``error`` again.
    """
    if isinstance(error, LocalAgentError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return cancellation_error(timer, who)
    return defect(error, who) if isinstance(error, Exception) else None


def cancellation_error(timer: Timer, who: str, where: str = "") -> LocalAgentError | None:
    """Return the typed error of the CancelledError in hand; None when the task was cancelled: raise it again.

    Args:
        timer: The call's timer.
        who: Whose code was running.
        where: In which hook, such as `` in rate_check``.
    """
    found = timer.classify_cancellation()
    if found is Cancellation.TASK_CANCELLED:
        return None
    if found is Cancellation.FOREIGN_CANCELLATION:
        return InternalError(f"{who} was cancelled by itself{where}.")
    return found


def own_error(error: AnyError) -> AnyError:
    """Return a copy of an error that several calls share, into which one of them may write."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own.with_traceback(error.__traceback__)


def defect(error: BaseException, who: str = "LocalAgent", where: str = "", hint: str = _MEND) -> InternalError:
    """Return the typed error of an exception that should not have been raised; it is linked as the cause."""
    made = InternalError(f"{who} failed{where}: {type(error).__name__}.", hint=hint)
    made.__cause__ = error
    return made
