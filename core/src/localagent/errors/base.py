"""The base class of all errors: a message, advice on how to react, and where the error happened."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

Phase = Literal["dns", "connect", "tls", "pool", "send", "first_token", "idle", "total", "read", "load"]
Billed = Literal["no", "yes", "unknown"]
BreakerSign = Literal["failure", "neutral", "alive"]


class Advice(msgspec.Struct, frozen=True):
    """How to react to an error, for plugins that decide about retries, breakers and costs.

    Attributes:
        same: Asking the same target again, after a pause, may help.
        next: Asking another target may help.
        later: Asking the same target again may help after other targets were tried: it failed, but may have recovered.
        pace: The backoff class: ``transient`` (short) or ``throttle`` (long).
        billed: Whether the provider charges for the attempt.
        breaker: What the error means to a breaker: a ``failure``, nothing (``neutral``), or that the target is
            ``alive``.
        sent: False when no byte of the request can have reached the server.
        stale: A kept-alive connection broke before any byte of an answer came: the server may have closed it while it
            was idle. Asking the same target again at once may help; the core does so over a new connection.
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
        message: One sentence for people; never contains a key or a prompt.
        hint: What to do about it, as a command or one sentence.
        code: Machine-readable code, if it differs from the default of the class.
        provider: Name of the provider, as configured.
        target: The target as text: ``provider/model at instance``.
        phase: The part of the exchange that failed; for timeouts, the one that expired.
        retry_after: Seconds that the server asked to wait.
        upstream_request_id: The provider's own id of the request, without control characters.
        advice: How to react, if it differs from the default of the class.
        detail: The server's own error text, without keys and at most 300 characters; None when no such text may be
            shown. The core removes it if it repeats the request.

    Attributes:
        status: The HTTP status with which an HTTP server reports the error.
        request_id: The id of the call; None before the core has set it.
        attempts: Attempts that the call had sent.
        receipt: What each step decided, when the call asked for it; None otherwise.

    Example:
        ::

            try:
                response = await client.chat("Why is the sky blue?")
            except LocalAgentError as error:
                print(error.code, error.message, error.hint)

    Since: 0.1.
    """

    __module__ = "localagent.errors"  # where it is public, and where tracebacks name it

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    default_advice: ClassVar[Advice] = Advice()

    def __init_subclass__(
        cls, *, status: int | None = None, code: str | None = None, advice: Advice | None = None
    ) -> None:
        """Set the class's own status, code and advice; what is not given is inherited."""
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
        """A sentence that quotes ``detail``, after a space; empty when ``message`` contains it already."""
        if self.detail is None or self.detail in self.message:
            return ""
        return f' The server said: "{self.detail}"'

    def conceal(self, instead: str) -> None:
        """Remove ``detail``, because it contains text that must not be shown.

        Args:
            instead: The new message, used if the message contains ``detail``.
        """
        if self.detail is not None and self.detail in self.message:
            self.message = instead
            self.args = (instead,)
        self.detail = None

    @property
    def retryable(self) -> bool:
        """Whether asking the same or another target again may help."""
        return self.advice.same or self.advice.next

    @property
    def billed(self) -> Billed:
        """Whether the provider charges for the failed attempt."""
        return self.advice.billed
