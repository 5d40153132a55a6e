"""The errors that LocalAgent raises, in one tree.

::

    LocalAgentError
    ├── StartError                 the installation or configuration is wrong; nothing was sent
    │   ├── SettingsError          a wrong name or value in the settings
    │   └── PluginError            a plugin is missing or broken, or its order is contradictory
    ├── RequestRejected            the request itself cannot be answered, here or upstream
    │   ├── InvalidRequest         wrong, unsupported or too large
    │   ├── ContextLengthExceeded  longer than the model's window
    │   ├── ContentFiltered        refused by a content policy
    │   ├── ModelNotFound          the target does not have the model
    │   ├── NotAllowed             a local rule forbids it for this principal
    │   └── Unauthenticated        a client of an HTTP server sent no key, or a wrong one
    ├── UpstreamError              the model server refused, failed, or could not be reached
    │   ├── UpstreamAuth           the key is wrong (401)
    │   ├── PermissionDenied       the key lacks the permission (403)
    │   ├── QuotaExhausted         no money or quota is left; a short wait does not help
    │   ├── RateLimited            too many requests; waiting helps
    │   ├── Overloaded             the server has no capacity now
    │   ├── UpstreamServerError    the server failed (5xx, reset before an answer)
    │   ├── ConnectFailed          no connection was made; nothing was sent
    │   ├── UpstreamTimeout        a timeout expired; ``phase`` says which
    │   ├── UpstreamProtocol       the answer violates the protocol
    │   ├── ResponseTooLarge       the answer exceeds a size limit
    │   ├── EmptyResponse          a well-formed answer without content
    │   └── StreamInterrupted      a stream ended after its first content, without its terminator
    ├── LocalRefusal               LocalAgent itself refused, before anything was sent
    │   ├── PoolTimeout            no connection became free in time
    │   ├── CircuitOpen            the target is temporarily excluded
    │   ├── LocalRateLimited       a local rate limit is reached
    │   ├── BudgetExceeded         a spending or retry budget is used up
    │   ├── NotCached              no cache has an answer, and only a cached one is allowed
    │   ├── Draining               the client or the instance is closing
    │   └── ClientGone             the client has disconnected
    └── InternalError              a defect in a plugin or in the core; the plugin is named

Every class carries ``Advice`` on how to react, so that retry and breaker plugins do not need a table of their own.
No error contains a key or a prompt: messages are built from redacted text, and foreign exceptions are linked as
``__cause__`` only after redaction.
"""

from __future__ import annotations

from typing import Any

# isort: off
from localagent.errors.base import (
    Advice as Advice, Billed as Billed, BreakerSign as BreakerSign, LocalAgentError as LocalAgentError, Phase as Phase,
)  # fmt: skip
# isort: on

__all__ = [
    "Advice", "Billed", "BreakerSign", "BudgetExceeded", "CircuitOpen", "ClientGone", "ConnectFailed",
    "ContentFiltered", "ContextLengthExceeded", "Draining", "EmptyResponse", "InternalError", "InvalidRequest",
    "LocalAgentError", "LocalRateLimited", "LocalRefusal", "ModelNotFound", "NotAllowed", "NotCached", "Overloaded",
    "PermissionDenied", "Phase", "PluginError", "PoolTimeout", "QuotaExhausted", "RateLimited", "RequestRejected",
    "ResponseTooLarge", "SettingsError", "StartError", "StreamInterrupted", "Unauthenticated", "UpstreamAuth",
    "UpstreamError", "UpstreamProtocol", "UpstreamServerError", "UpstreamTimeout",
]  # fmt: skip


class StartError(LocalAgentError, code="start_error"):
    """The installation or configuration is wrong; nothing was sent."""


class SettingsError(StartError, code="settings_error"):
    """A name or value in the settings is wrong; the message gives file, key, value and what was expected."""


class PluginError(StartError, code="plugin_error"):
    """A plugin is missing or broken, or its order is contradictory; names plugin, distribution and hint."""


class RequestRejected(LocalAgentError, status=400, code="invalid_request", advice=Advice(breaker="alive")):
    """The request itself cannot be answered."""


class InvalidRequest(RequestRejected):
    """The request is wrong, unsupported (code ``unsupported``) or too large (code ``request_too_large``)."""


class ContextLengthExceeded(RequestRejected, code="context_length_exceeded"):
    """The prompt is longer than the model's window; only a larger model helps."""


class ContentFiltered(RequestRejected, code="content_filter"):
    """A content policy refused the request; failing over to another target would bypass the filter."""


class ModelNotFound(RequestRejected, status=404, code="model_not_found", advice=Advice(next=True, breaker="alive")):
    """The target does not have the model; another target of the alias may have it."""


class NotAllowed(RequestRejected, status=403, code="not_allowed", advice=Advice(breaker="alive", sent=False)):
    """A local rule forbids the request for this principal: its key is valid but does not cover it."""


class Unauthenticated(RequestRejected, status=401, code="invalid_api_key", advice=Advice(breaker="alive", sent=False)):
    """A client of an HTTP server sent no key, or a wrong one."""


class UpstreamError(LocalAgentError, status=502, code="upstream_error"):
    """The model server refused, failed, or could not be reached."""


class UpstreamAuth(UpstreamError, code="upstream_auth", advice=Advice(next=True)):
    """The provider's key is wrong; the key is at fault, not the host."""


class PermissionDenied(UpstreamError, code="permission_denied", advice=Advice(next=True)):
    """The provider's key is valid but lacks the permission."""


class QuotaExhausted(UpstreamError, status=429, code="insufficient_quota", advice=Advice(next=True, pace="throttle")):
    """No money or quota is left; the same key fails until the account is topped up or the quota is renewed."""


class RateLimited(UpstreamError, status=429, code="rate_limited", advice=Advice(same=True, next=True, pace="throttle")):
    """The provider asks for fewer requests; ``retry_after`` is the wait that it asks for, in seconds."""


class Overloaded(
    UpstreamError,
    status=503,
    code="overloaded",
    advice=Advice(same=True, next=True, pace="throttle", breaker="failure"),
):
    """The server has no capacity now."""


class UpstreamServerError(
    UpstreamError,
    code="upstream_server_error",
    advice=Advice(same=True, next=True, billed="unknown", breaker="failure"),
):
    """The server failed: a 5xx status, or a connection that broke before an answer."""


class ConnectFailed(UpstreamError, code="connect_failed", advice=Advice(next=True, breaker="failure", sent=False)):
    """No connection was made, so nothing was sent, and it is safe to try another target."""


class UpstreamTimeout(
    UpstreamError, status=504, code="upstream_timeout", advice=Advice(next=True, billed="unknown", breaker="failure")
):
    """A timeout expired; ``phase`` is connect, send, load, first_token, idle or total."""


class UpstreamProtocol(
    UpstreamError, code="upstream_protocol", advice=Advice(next=True, billed="unknown", breaker="failure")
):
    """The answer violates the protocol: broken framing, JSON or encoding, or a missing terminator."""


class ResponseTooLarge(UpstreamError, code="response_too_large", advice=Advice(billed="yes", breaker="failure")):
    """The answer, or one event of it, exceeds a size limit; reading stopped there."""


class EmptyResponse(UpstreamError, code="empty_response", advice=Advice(same=True, next=True, billed="unknown")):
    """A well-formed answer without content."""


class StreamInterrupted(UpstreamError, code="stream_interrupted", advice=Advice(billed="yes", breaker="failure")):
    """A stream ended after its first content without its terminator.

    Attributes:
        partial: The text that had arrived.
        cause: The error that ended the stream. Its type and phase distinguish a stalled stream from a cut one.
    """

    def __init__(self, message: str, *, partial: str = "", cause: LocalAgentError | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.partial = partial
        self.cause = cause


class LocalRefusal(LocalAgentError, status=503, code="refused", advice=Advice(next=True, sent=False)):
    """LocalAgent itself refused the request, before anything was sent."""


class PoolTimeout(LocalRefusal, code="pool_timeout"):
    """No connection became free in time; the server is not at fault."""


class CircuitOpen(LocalRefusal, code="circuit_open"):
    """The target is temporarily excluded; ``retry_after`` says for how many seconds."""


class LocalRateLimited(LocalRefusal, status=429, code="local_rate_limited"):
    """A local rate limit is reached; ``retry_after`` says in how many seconds it allows requests again."""


class BudgetExceeded(LocalRefusal, status=429, code="budget_exceeded", advice=Advice(sent=False)):
    """A spending budget is used up."""


class NotCached(LocalRefusal, status=504, code="only_if_cached", advice=Advice(sent=False)):
    """No cache had an answer, and the request allows only a cached one; status 504 as in RFC 9111 (5.2.1.7)."""


class Draining(LocalRefusal, code="draining"):
    """The client or the instance is closing."""


class ClientGone(LocalRefusal, status=499, code="client_gone", advice=Advice()):
    """The client that sent the request has disconnected."""


class InternalError(LocalAgentError):
    """A defect in a plugin or in the core; the message names the plugin and the hook."""
