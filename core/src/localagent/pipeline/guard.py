"""The guard around every run: what ended a call, an exchange, a stream or a flight, as one typed error."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from localagent.errors import Advice, ConnectFailed, InternalError, LocalAgentError, PoolTimeout, UpstreamTimeout
from localagent.pipeline.plan import Step, out_of_time
from localagent.timing.timer import SHARE, STRAY, Timer

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt
    from localagent.records.instances import Instance

AnyError = TypeVar("AnyError", bound=LocalAgentError)

_TIMEOUTS = {"connect": Advice(next=True, breaker="failure", sent=False), "send": Advice(next=True, breaker="failure")}
_PHASES = {
    "dns": "its name was not resolved in time",
    "connect": "no connection was made in time",
    "send": "the request could not be written in time",
    "load": "the model was not loaded in time",
    "ttft": "no content came in time",
    "idle": "the stream stood still",
    "total": "it did not answer in time",
}


def failure_of(
    error: BaseException, timer: Timer, who: str = "LocalAgent", late: Callable[[Any], LocalAgentError] | None = None
) -> LocalAgentError | None:
    """Return the typed error of what ended a run; a cancellation of the timer's own is claimed.

    Args:
        error: What was raised.
        timer: The call's timer.
        who: Whose code an exception that has no type of ours came from.
        late: Makes the error of what the timer fired for; None means that of the call's deadline.

    Returns:
        The error; None when somebody else cancelled the run or the process is about to end: raise ``error`` again.
    """
    if isinstance(error, LocalAgentError):
        return error
    if isinstance(error, asyncio.CancelledError):
        fired = timer.claim()
        if fired is None:
            return None
        if late is not None:
            return late(fired)
        return defect(error, who) if fired is STRAY else out_of_time(fired)
    return defect(error, who) if isinstance(error, Exception) else None


def exchange_failure(error: BaseException, attempt: Attempt) -> LocalAgentError | None:
    """Return the typed error of what ended an attempt's exchange; arguments and result as in ``failure_of``."""

    def late(fired: Any) -> LocalAgentError:
        if fired == "total" or isinstance(fired, LocalAgentError):
            return out_of_time(fired)
        return clock_error_for(attempt.clocks.phase if fired is SHARE else fired, instance)

    instance = attempt.target.instance
    return failure_of(error, attempt.call.timer, f"Provider {instance.provider}", late)


def clock_error_for(fired: Any, instance: Instance) -> LocalAgentError:
    """Return the error of an instance at which a clock ran out; ``fired`` is the phase, or the late step."""
    if fired is STRAY:
        return InternalError(f"Provider {instance.provider} was cancelled by itself.")
    if isinstance(fired, Step):
        return fired.overdue(fired)
    if fired == "pool":
        return PoolTimeout(f"All connections to {instance.id} are busy.", phase="pool", retry_after=1.0,
                           mend="Raise pool.limit of the provider.")  # fmt: skip
    message = f"{instance.id}: {_PHASES.get(fired, 'it took too long')}."
    if fired == "dns":
        return ConnectFailed(message, phase="dns")
    return UpstreamTimeout(message, phase=fired, advice=_TIMEOUTS.get(fired))


def own_error(error: AnyError) -> AnyError:
    """Return a copy of an error that several calls share, into which one of them may write."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own.with_traceback(error.__traceback__)


def defect(error: BaseException, who: str = "LocalAgent") -> InternalError:
    """Return the typed error of an exception that should not have been raised; it is linked as the cause."""
    made = InternalError(f"{who} failed: {type(error).__name__}.", mend="See the log with --debug.")
    made.__cause__ = error
    return made
