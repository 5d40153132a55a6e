"""What all errors have: a sentence, advice, and where it happened."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

Phase = Literal["dns", "connect", "tls", "pool", "send", "first_token", "idle", "total", "read", "load"]
Billed = Literal["no", "yes", "unknown"]
BreakerSign = Literal["failure", "neutral", "alive"]


class Advice(msgspec.Struct, frozen=True):
    """What follows from an error for those who decide about retries, breakers and ledgers.

    Attributes:
        same: Asking the same target again, after a pause, may help.
        next: Asking another target may help.
        later: Asking the same target again may help once others were asked: it broke, and may have come back.
        pace: Which backoff class applies: ``transient`` (short) or ``throttle`` (long).
        billed: Whether the provider charges for the attempt.
        breaker: What a breaker learns: a failure, nothing, or a sign of life.
        sent: False when no byte of the request can have reached the server.
        stale: A kept connection broke before any byte of an answer came: the server may have closed it while it was
            idle. Asking the same target again at once may help; the core has it done over a new connection.
    """

    same: bool = False
    next: bool = False
    later: bool = False
    pace: Literal["transient", "throttle"] = "transient"
    billed: Billed = "no"
    breaker: BreakerSign = "neutral"
    sent: bool = True
    stale: bool = False


class LocalAgentError(Exception):
    """The base of every error.

    Args:
        message: One sentence for a person; never holds a key or a prompt.
        hint: What to do about it, as a command or one sentence.
        code: Machine-readable code, where it differs from the class's own.
        provider: Name of the provider, as configured.
        target: ``provider/model`` at which instance, as text.
        phase: Which part of the exchange failed; for time-outs: which clock.
        retry_after: Seconds that the server asked to wait.
        upstream_request_id: The provider's own id of the request, cleaned of control characters.
        advice: What follows from this error, where it differs from the class's own.
        detail: What the model server said, without keys and at most 300 characters; None when it said nothing that may
            be shown. The core removes it if it repeats the request.
    """

    __module__ = "localagent.errors"  # where it is public, and where tracebacks name it

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    default_advice: ClassVar[Advice] = Advice()

    def __init_subclass__(
        cls, *, status: int | None = None, code: str | None = None, advice: Advice | None = None
    ) -> None:
        """Set what a class does not inherit."""
        if status is not None:
            cls.status = status
        if code is not None:
            cls.default_code = code
        if advice is not None:
            cls.default_advice = advice

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        provider: str | None = None,
        target: str | None = None,
        phase: Phase | None = None,
        retry_after: float | None = None,
        upstream_request_id: str | None = None,
        advice: Advice | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.code = code or self.default_code
        self.provider = provider
        self.target = target
        self.phase = phase
        self.retry_after = retry_after
        self.upstream_request_id = upstream_request_id
        self.advice = advice or self.default_advice
        self.request_id: str | None = None
        self.attempts = 0
        self.receipt: Any = None

    def __str__(self) -> str:
        where = f" [{self.target}]" if self.target and self.target not in self.message else ""
        return f"{self.message}{where}{self.quotation}{' ' + self.hint if self.hint else ''}"

    @property
    def quotation(self) -> str:
        """A sentence that quotes what the server said, after a space; empty when ``message`` holds it already."""
        if self.detail is None or self.detail in self.message:
            return ""
        return f' The server said: "{self.detail}"'

    def conceal(self, instead: str) -> None:
        """Forget what the server said, because it holds what must not be shown.

        Args:
            instead: The message, where it was the server's own sentence.
        """
        if self.detail is not None and self.detail in self.message:
            self.message = instead
            self.args = (instead,)
        self.detail = None

    @property
    def retryable(self) -> bool:
        """Whether asking again, here or elsewhere, may help."""
        return self.advice.same or self.advice.next

    @property
    def billed(self) -> Billed:
        """Whether the provider charges for the failed attempt."""
        return self.advice.billed
