"""The one tree of errors that LocalAgent raises.

::

    LocalAgentError
    ├── StartError                 nothing was sent: what is installed or configured is wrong
    │   ├── SettingsError          a wrong name or value in the settings
    │   └── PluginError            a plugin that is missing, broken, or ordered in a contradiction
    ├── RequestRejected            the request itself cannot be answered, here or upstream
    │   ├── InvalidRequest         wrong, unsupported or too large
    │   ├── ContextLengthExceeded  longer than the model's window
    │   ├── ContentFiltered        refused by a content policy
    │   ├── ModelNotFound          no such model at this target
    │   ├── NotAllowed             a local rule does not let this principal do it
    │   └── Unauthenticated        a client of a server showed no key, or a wrong one
    ├── UpstreamError              the model server refused, failed, or could not be reached
    │   ├── UpstreamAuth           the key is wrong (401)
    │   ├── PermissionDenied       the key may not do this (403)
    │   ├── QuotaExhausted         no money or no quota left; waiting seconds does not help
    │   ├── RateLimited            too fast; waiting helps
    │   ├── Overloaded             the server has no capacity now
    │   ├── UpstreamServerError    the server failed (5xx, reset before an answer)
    │   ├── ConnectFailed          no connection: nothing was sent
    │   ├── UpstreamTimeout        a clock ran out; ``phase`` says which
    │   ├── UpstreamProtocol       what came back is not the protocol
    │   ├── ResponseTooLarge       the answer passed a cap
    │   ├── EmptyResponse          a well-formed answer without content
    │   └── StreamInterrupted      a stream ended after its first content, without its terminator
    ├── LocalRefusal               LocalAgent itself said no, before anything was sent
    │   ├── PoolTimeout            no free connection slot in time
    │   ├── CircuitOpen            the target is ejected for now
    │   ├── LocalRateLimited       a local limit is spent
    │   ├── BudgetExceeded         a spending or retry budget is spent
    │   ├── NotCached              no cache has an answer, and nothing else is allowed
    │   ├── Draining               the client or the instance is closing
    │   └── ClientGone             whoever asked has left
    └── InternalError              a defect in a plugin or in the core; the plugin is named

Every class says what follows from it (``Advice``), so that retry and breaker plugins need no table of their own.
No error holds a key or a prompt: messages are built from redacted text, and foreign exceptions are only linked as
``__cause__`` where they were redacted first.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

Phase = Literal["dns", "connect", "tls", "pool", "send", "ttft", "idle", "total", "read", "load"]
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
        mend: What to do about it, as a command or one sentence.
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

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    default_advice: ClassVar[Advice] = Advice()

    def __init__(
        self,
        message: str,
        *,
        mend: str | None = None,
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
        self.mend = mend
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
        return f"{self.message}{where}{self.quotation}{' ' + self.mend if self.mend else ''}"

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


class StartError(LocalAgentError):
    """Nothing was sent: what is installed or configured is wrong."""

    default_code = "start_error"


class SettingsError(StartError):
    """A wrong name or value in the settings; says file, key, value, what was expected."""

    default_code = "settings_error"


class PluginError(StartError):
    """A plugin is missing, broken, or ordered in a contradiction; names plugin, distribution and mend."""

    default_code = "plugin_error"


class RequestRejected(LocalAgentError):
    """The request itself cannot be answered."""

    status = 400
    default_code = "invalid_request"
    default_advice = Advice(breaker="alive")


class InvalidRequest(RequestRejected):
    """The request is wrong, unsupported (code ``unsupported``) or too large (code ``request_too_large``)."""


class ContextLengthExceeded(RequestRejected):
    """The prompt is longer than the model's window; only a larger model helps."""

    default_code = "context_length_exceeded"


class ContentFiltered(RequestRejected):
    """A content policy refused the request; failing over would dodge the filter."""

    default_code = "content_filter"


class ModelNotFound(RequestRejected):
    """The target does not have the model; another target of the alias may."""

    status = 404
    default_code = "model_not_found"
    default_advice = Advice(next=True, breaker="alive")


class NotAllowed(RequestRejected):
    """A local rule does not let this principal do it: its key is right and covers less."""

    status = 403
    default_code = "not_allowed"
    default_advice = Advice(breaker="alive", sent=False)


class Unauthenticated(RequestRejected):
    """A client of a server showed no key, or a wrong one."""

    status = 401
    default_code = "invalid_api_key"
    default_advice = Advice(breaker="alive", sent=False)


class UpstreamError(LocalAgentError):
    """The model server refused, failed, or could not be reached."""

    status = 502
    default_code = "upstream_error"


class UpstreamAuth(UpstreamError):
    """The provider's key is wrong; the key is at fault, not the host."""

    default_code = "upstream_auth"
    default_advice = Advice(next=True)


class PermissionDenied(UpstreamError):
    """The provider's key is right but may not do this."""

    default_code = "permission_denied"
    default_advice = Advice(next=True)


class QuotaExhausted(UpstreamError):
    """No money or no quota is left; the same key fails until somebody pays or a day passes."""

    status = 429
    default_code = "insufficient_quota"
    default_advice = Advice(next=True, pace="throttle")


class RateLimited(UpstreamError):
    """The provider asks to go slower; ``retry_after`` holds its hint in seconds."""

    status = 429
    default_code = "rate_limited"
    default_advice = Advice(same=True, next=True, pace="throttle")


class Overloaded(UpstreamError):
    """The server has no capacity now."""

    status = 503
    default_code = "overloaded"
    default_advice = Advice(same=True, next=True, pace="throttle", breaker="failure")


class UpstreamServerError(UpstreamError):
    """The server failed: a 5xx status, or a connection that broke before an answer."""

    default_code = "upstream_server_error"
    default_advice = Advice(same=True, next=True, billed="unknown", breaker="failure")


class ConnectFailed(UpstreamError):
    """No connection was made, so nothing was sent and trying elsewhere is safe."""

    default_code = "connect_failed"
    default_advice = Advice(next=True, breaker="failure", sent=False)


class UpstreamTimeout(UpstreamError):
    """A clock ran out; ``phase`` is connect, send, load, ttft, idle or total."""

    status = 504
    default_code = "upstream_timeout"
    default_advice = Advice(next=True, billed="unknown", breaker="failure")


class UpstreamProtocol(UpstreamError):
    """What came back is not the protocol: broken framing, JSON, encoding or a missing terminator."""

    default_code = "upstream_protocol"
    default_advice = Advice(next=True, billed="unknown", breaker="failure")


class ResponseTooLarge(UpstreamError):
    """The answer, or one event of it, passed a cap; reading stopped there."""

    default_code = "response_too_large"
    default_advice = Advice(billed="yes", breaker="failure")


class EmptyResponse(UpstreamError):
    """A well-formed answer without content."""

    default_code = "empty_response"
    default_advice = Advice(same=True, next=True, billed="unknown")


class StreamInterrupted(UpstreamError):
    """A stream ended after its first content without its terminator.

    Whatever ended it is ``cause`` (its type and phase tell a stall from a cut). What had arrived is ``partial``.
    """

    default_code = "stream_interrupted"
    default_advice = Advice(billed="yes", breaker="failure")

    def __init__(self, message: str, *, partial: str = "", cause: LocalAgentError | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.partial = partial
        self.cause = cause


class LocalRefusal(LocalAgentError):
    """LocalAgent itself said no, before anything was sent."""

    status = 503
    default_code = "refused"
    default_advice = Advice(next=True, sent=False)


class PoolTimeout(LocalRefusal):
    """No connection slot became free in time; the server is not at fault."""

    default_code = "pool_timeout"


class CircuitOpen(LocalRefusal):
    """The target is ejected for now; ``retry_after`` says for how long."""

    default_code = "circuit_open"


class LocalRateLimited(LocalRefusal):
    """A local limit is spent; ``retry_after`` says when it is not."""

    status = 429
    default_code = "local_rate_limited"


class BudgetExceeded(LocalRefusal):
    """A spending budget is used up."""

    status = 429
    default_code = "budget_exceeded"
    default_advice = Advice(sent=False)


class NotCached(LocalRefusal):
    """No cache had an answer, and the request allows nothing else; 504 as RFC 9111 (5.2.1.7) has it."""

    status = 504
    default_code = "only_if_cached"
    default_advice = Advice(sent=False)


class Draining(LocalRefusal):
    """The client or the instance is closing."""

    default_code = "draining"


class ClientGone(LocalRefusal):
    """Whoever asked has left."""

    status = 499
    default_code = "client_gone"
    default_advice = Advice()


class InternalError(LocalAgentError):
    """A defect in a plugin or in the core; the message names the plugin and the hook."""
