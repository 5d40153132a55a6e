"""Errors in the shape of each API, and the choice of the API by a request's path and headers.

==========  ========================================================================================================
API         shape
==========  ========================================================================================================
OpenAI      ``{"error": {...}}`` with message, type, param and code
Ollama      ``{"error": "a sentence"}``
Anthropic   ``{"type": "error", "error": {...}, "request_id": ...}`` (https://docs.anthropic.com/en/api/errors)
==========  ========================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from localagent import LocalAgentError
from localagent.errors import RequestRejected
from localagent.plugin_api import HttpRequest, HttpResponse
from localagent_gateway.errors import WrongField

_encode = msgspec.json.Encoder().encode
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def openai_error_object(error: LocalAgentError) -> dict[str, object]:
    """Return ``{"error": {...}}`` with message, type, param and code."""
    status = error.status
    kind = _OPENAI_TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    param = error.param if isinstance(error, WrongField) else None
    return {"error": {"message": sentence(error), "type": kind, "param": param, "code": error.code}}


def sentence(error: LocalAgentError) -> str:
    """Return the message for the client: our sentence, the model server's own, and a hint on the request."""
    hint = error.hint if isinstance(error, RequestRejected) and error.hint else ""
    return f"{error.message}{error.quotation} {hint}".rstrip()


def error_headers(error: LocalAgentError) -> dict[str, str]:
    """Return the headers of an error in any API.

    If the gateway has already made attempts, ``x-should-retry: false`` stops clients from repeating them.
    """
    headers = {"x-should-retry": "false"} if error.attempts else {}
    if error.retry_after is not None and math.isfinite(error.retry_after):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def openai_error(error: LocalAgentError, request: HttpRequest) -> HttpResponse:
    """Return the answer for an error."""
    return HttpResponse(error.status, _encode(openai_error_object(error)), error_headers(error))


def ollama_error_line(error: LocalAgentError) -> bytes:
    """Return the error as one JSON object, without a line end."""
    return _encode({"error": sentence(error)})


def ollama_error(error: LocalAgentError, request: HttpRequest) -> HttpResponse:
    """Return the answer for an error."""
    return HttpResponse(error.status, ollama_error_line(error), error_headers(error))


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def anthropic_error_object(error: LocalAgentError, request_id: str) -> dict[str, Any]:
    """Return ``{"type": "error", "error": {...}, "request_id": ...}``.

    Args:
        error: The error.
        request_id: The id in the answer's header; the error's own id may be that of an inner call.
    """
    status = error.status
    kind = _ANTHROPIC_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": sentence(error)}, "request_id": request_id}


def anthropic_error(error: LocalAgentError, request: HttpRequest) -> HttpResponse:
    """Return the answer for an error."""
    headers = {**error_headers(error), "request-id": request.id}
    return HttpResponse(error.status, _encode(anthropic_error_object(error, request.id)), headers)


ErrorShape = Callable[[LocalAgentError, HttpRequest], HttpResponse]


def asked_by_anthropic(headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from a client of Anthropic's API: they all send its version."""
    return "anthropic-version" in headers


def shape_of(request: HttpRequest) -> ErrorShape:
    """Return the error shape for the path of a request, even if the path does not exist or has no route yet.

    Ollama's API is ``/`` and ``/api``. Anthropic's is ``/v1/messages``, and any other path for clients that send the
    version of that API. The rest is OpenAI's.

    Args:
        request: The request; its path and headers are used.
    """
    first, second = [*request.path[1:].split("/", 2), ""][:2]
    if request.path == "/" or first == "api":
        return ollama_error
    if (first, second) == ("v1", "messages") or asked_by_anthropic(request.headers):
        return anthropic_error
    return openai_error
