"""Converts any exception that ends a call, an exchange, a stream or a flight into a typed error."""

from __future__ import annotations

import asyncio
import copy
from typing import TypeVar

from localagent.errors import InternalError, LocalAgentError
from localagent.timing.timer import Cancellation, Timer

AnyError = TypeVar("AnyError", bound=LocalAgentError)

_HINT = "See the log with --debug."


def failure_of(error: BaseException, timer: Timer, who: str = "LocalAgent") -> LocalAgentError | None:
    """Return the typed error for the exception that ended a run; a cancellation by the timer becomes its timeout error.

    Args:
        error: The exception.
        timer: The call's timer.
        who: Whose code an exception that is not a ``LocalAgentError`` came from.

    Returns:
        The error; None if other code cancelled the run or the process is about to end: raise ``error`` again.
    """
    if isinstance(error, LocalAgentError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return cancellation_error(timer, who)
    return defect(error, who) if isinstance(error, Exception) else None


def cancellation_error(timer: Timer, who: str, where: str = "") -> LocalAgentError | None:
    """Return the typed error for the current CancelledError; None if the task was cancelled: raise it again.

    Args:
        timer: The call's timer.
        who: Whose code was running.
        where: The hook, such as `` in rate_check``.
    """
    found = timer.classify_cancellation()
    if found is Cancellation.TASK_CANCELLED:
        return None
    if found is Cancellation.FOREIGN_CANCELLATION:
        return InternalError(f"{who} raised CancelledError{where}, but the call was not cancelled.")
    return found


def own_error(error: AnyError) -> AnyError:
    """Return a copy of an error that several calls share, so that one of them can modify it."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own.with_traceback(error.__traceback__)


def defect(error: BaseException, who: str = "LocalAgent", where: str = "", hint: str = _HINT) -> InternalError:
    """Return the typed error for an unexpected exception, which becomes its cause."""
    made = InternalError(f"{who} failed{where}: {type(error).__name__}.", hint=hint)
    made.__cause__ = error
    return made
