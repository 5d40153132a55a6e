"""The phases of an exchange: each has a limit, and each says in its own words that it took too long."""

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
    "first_token": "no content came in time",
    "idle": "the stream stood still",
    "total": "it did not answer in time",
}


class PhaseTimer:
    """What a transport and a provider see of the call's timer: they say which phase begins.

    Args:
        timer: The call's timer.
        timeouts: The limits.
        instance: The instance's id, for errors.
        streamed: Whether the answer is a stream; only then ``first_token`` has a default (300 s).

    Attributes:
        phase: The phase that is under way. Setting it gives the phase another name; its clock goes on.
        cold: A provider sets this when the server may have to load the model first. While it is true, ``load`` stands
            in for a shorter ``first_token``. Where that sets no limit, there is none for loading either: an answer that
            comes whole may take longer than loading does.
        fresh: Whether the request needs a connection of its own, because it repeats one whose kept connection broke.
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
        """Begin a phase: its clock starts, the one of the phase before ends."""
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
        """Begin the wait for the next event of a stream: ``enter("idle")``, made cheap because it comes so often."""
        self.phase = "idle"
        self._timer.watch(self._timeouts.idle, self)

    def timeout_error(self) -> LocalAgentError:
        """Return the error of the phase that is under way, when its time is up."""
        return phase_error(self.phase, self._instance)


def phase_error(phase: Phase, instance: str) -> LocalAgentError:
    """Return the error of a phase that took too long.

    Args:
        phase: The phase.
        instance: The id of the instance that was asked.
    """
    if phase == "pool":
        return PoolTimeout(f"All connections to {instance} are busy.", phase="pool", retry_after=1.0,
                           hint="Raise pool.limit of the provider.")  # fmt: skip
    message = f"{instance}: {_LATE.get(phase, 'it took too long')}."
    if phase == "dns":
        return ConnectFailed(message, phase="dns")
    return UpstreamTimeout(message, phase=phase, advice=_ADVICE.get(phase))
