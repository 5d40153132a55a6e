"""The phases of an exchange: each has a timeout with its own error message."""

from __future__ import annotations

from localagent.errors import Advice, ConnectFailed, LocalAgentError, Phase, PoolTimeout, UpstreamTimeout
from localagent.timing.timeouts import FIRST_TOKEN_OF_A_STREAM, Timeouts
from localagent.timing.timer import Timer

_ADVICE = {"connect": Advice(next=True, breaker="failure", sent=False), "send": Advice(next=True, breaker="failure")}
_LATE = {
    "dns": "its name was not resolved in time",
    "connect": "no connection was made in time",
    "send": "the request could not be written in time",
    "load": "the model was not loaded in time",
    "first_token": "no content arrived in time",
    "idle": "the stream stalled",
    "total": "it did not finish the answer in time",
}


class PhaseTimer:
    """The part of the call's timer that transports and providers use: they report which phase begins.

    Args:
        timer: The call's timer.
        timeouts: The timeouts.
        instance: The instance's id, for errors.
        streamed: Whether the answer is a stream; only then ``first_token`` has a default (300 s).

    Attributes:
        phase: The current phase. Setting it renames the phase; its timeout continues.
        cold: A provider sets this when the server may have to load the model first. While it is true, ``load``
            replaces a shorter ``first_token``. If ``first_token`` sets no limit, loading has no limit either, because a
            whole answer may take longer than loading.
        fresh: Whether the request needs a new connection, because it repeats one whose kept connection broke.
    """

    __slots__ = ("_first", "_instance", "_loads", "_timeouts", "_timer", "cold", "fresh", "phase")

    def __init__(self, timer: Timer, timeouts: Timeouts, instance: str, *, streamed: bool) -> None:
        self._timer = timer
        self._instance = instance
        self._timeouts = timeouts
        first = timeouts.first_token
        self._first = FIRST_TOKEN_OF_A_STREAM if first is None and streamed else first
        self._loads = streamed if first is None else first < timeouts.load
        self.cold = False
        self.fresh = False
        self.phase: Phase = "connect"

    def enter(self, phase: Phase) -> None:
        """Begin a phase: its timeout starts, and that of the previous phase ends."""
        seconds: float | None = None
        if phase == "first_token":
            seconds = self._first
            if self.cold and self._loads:
                phase, seconds = "load", self._timeouts.load
        elif phase != "read":
            seconds = getattr(self._timeouts, "connect" if phase in ("dns", "tls") else phase)
        self.phase = phase
        if seconds is None:
            self._timer.deadline_only()
        else:
            self._timer.watch(seconds, self)

    def idle(self) -> None:
        """Begin the wait for the next event of a stream: a faster ``enter("idle")``, because it is so frequent."""
        self.phase = "idle"
        self._timer.watch(self._timeouts.idle, self)

    def timeout_error(self) -> LocalAgentError:
        """Return the error for the timeout of the current phase."""
        return phase_error(self.phase, self._instance)


def phase_error(phase: Phase, instance: str) -> LocalAgentError:
    """Return the error for the timeout of a phase.

    Args:
        phase: The phase.
        instance: The id of the instance that was asked.
    """
    if phase == "pool":
        return PoolTimeout(f"All connections to {instance} are busy.", phase="pool", retry_after=1.0,
                           hint="Increase pool.limit of the provider.")  # fmt: skip
    message = f"{instance}: {_LATE.get(phase, 'it took too long')}."
    if phase == "dns":
        return ConnectFailed(message, phase="dns")
    return UpstreamTimeout(message, phase=phase, advice=_ADVICE.get(phase))
