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
    │   └── ClientGone             the client has left
    └── InternalError              a defect in a plugin or in the core; the plugin is named

Every class says what follows from it (``Advice``), so that retry and breaker plugins need no table of their own.
No error holds a key or a prompt: messages are built from redacted text, and foreign exceptions are only linked as
``__cause__`` where they were redacted first.
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
    """Nothing was sent: what is installed or configured is wrong."""


class SettingsError(StartError, code="settings_error"):
    """A wrong name or value in the settings; says file, key, value, what was expected."""


class PluginError(StartError, code="plugin_error"):
    """A plugin is missing, broken, or ordered in a contradiction; names plugin, distribution and hint."""


class RequestRejected(LocalAgentError, status=400, code="invalid_request", advice=Advice(breaker="alive")):
    """The request itself cannot be answered."""


class InvalidRequest(RequestRejected):
    """The request is wrong, unsupported (code ``unsupported``) or too large (code ``request_too_large``)."""


class ContextLengthExceeded(RequestRejected, code="context_length_exceeded"):
    """The prompt is longer than the model's window; only a larger model helps."""


class ContentFiltered(RequestRejected, code="content_filter"):
    """A content policy refused the request; failing over would dodge the filter."""


class ModelNotFound(RequestRejected, status=404, code="model_not_found", advice=Advice(next=True, breaker="alive")):
    """The target does not have the model; another target of the alias may."""


class NotAllowed(RequestRejected, status=403, code="not_allowed", advice=Advice(breaker="alive", sent=False)):
    """A local rule does not let this principal do it: its key is right and covers less."""


class Unauthenticated(RequestRejected, status=401, code="invalid_api_key", advice=Advice(breaker="alive", sent=False)):
    """A client of a server showed no key, or a wrong one."""


class UpstreamError(LocalAgentError, status=502, code="upstream_error"):
    """The model server refused, failed, or could not be reached."""


class UpstreamAuth(UpstreamError, code="upstream_auth", advice=Advice(next=True)):
    """The provider's key is wrong; the key is at fault, not the host."""


class PermissionDenied(UpstreamError, code="permission_denied", advice=Advice(next=True)):
    """The provider's key is right but may not do this."""


class QuotaExhausted(UpstreamError, status=429, code="insufficient_quota", advice=Advice(next=True, pace="throttle")):
    """No money or no quota is left; the same key fails until somebody pays or a day passes."""


class RateLimited(UpstreamError, status=429, code="rate_limited", advice=Advice(same=True, next=True, pace="throttle")):
    """The provider asks to go slower; ``retry_after`` holds its hint in seconds."""


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
    """No connection was made, so nothing was sent and trying elsewhere is safe."""


class UpstreamTimeout(
    UpstreamError, status=504, code="upstream_timeout", advice=Advice(next=True, billed="unknown", breaker="failure")
):
    """A clock ran out; ``phase`` is connect, send, load, first_token, idle or total."""


class UpstreamProtocol(
    UpstreamError, code="upstream_protocol", advice=Advice(next=True, billed="unknown", breaker="failure")
):
    """What came back is not the protocol: broken framing, JSON, encoding or a missing terminator."""


class ResponseTooLarge(UpstreamError, code="response_too_large", advice=Advice(billed="yes", breaker="failure")):
    """The answer, or one event of it, passed a cap; reading stopped there."""


class EmptyResponse(UpstreamError, code="empty_response", advice=Advice(same=True, next=True, billed="unknown")):
    """A well-formed answer without content."""


class StreamInterrupted(UpstreamError, code="stream_interrupted", advice=Advice(billed="yes", breaker="failure")):
    """A stream ended after its first content without its terminator.

    Whatever ended it is ``cause`` (its type and phase tell a stall from a cut). What had arrived is ``partial``.
    """

    def __init__(self, message: str, *, partial: str = "", cause: LocalAgentError | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.partial = partial
        self.cause = cause


class LocalRefusal(LocalAgentError, status=503, code="refused", advice=Advice(next=True, sent=False)):
    """LocalAgent itself said no, before anything was sent."""


class PoolTimeout(LocalRefusal, code="pool_timeout"):
    """No connection slot became free in time; the server is not at fault."""


class CircuitOpen(LocalRefusal, code="circuit_open"):
    """The target is ejected for now; ``retry_after`` says for how long."""


class LocalRateLimited(LocalRefusal, status=429, code="local_rate_limited"):
    """A local limit is spent; ``retry_after`` says when it is not."""


class BudgetExceeded(LocalRefusal, status=429, code="budget_exceeded", advice=Advice(sent=False)):
    """A spending budget is used up."""


class NotCached(LocalRefusal, status=504, code="only_if_cached", advice=Advice(sent=False)):
    """No cache had an answer, and the request allows nothing else; 504 as RFC 9111 (5.2.1.7) has it."""


class Draining(LocalRefusal, code="draining"):
    """The client or the instance is closing."""


class ClientGone(LocalRefusal, status=499, code="client_gone", advice=Advice()):
    """The client has left."""


class InternalError(LocalAgentError):
    """A defect in a plugin or in the core; the message names the plugin and the hook."""
