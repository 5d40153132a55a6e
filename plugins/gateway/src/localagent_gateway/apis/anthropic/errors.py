"""Errors in Anthropic's shape (https://docs.anthropic.com/en/api/errors)."""

from __future__ import annotations

from typing import Any

import msgspec

from localagent import LocalAgentError
from localagent.plugin_api import FrontAnswer, FrontRequest
from localagent_gateway.apis.openai.errors import error_headers, sentence

_encode = msgspec.json.Encoder().encode
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_object(error: LocalAgentError, request_id: str) -> dict[str, Any]:
    """Return ``{"type": "error", "error": {...}, "request_id": ...}``.

    Args:
        error: The error.
        request_id: The id that the answer's header tells too; the error's own may be that of an inner call.
    """
    status = error.status
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": sentence(error)}, "request_id": request_id}


def anthropic_error(error: LocalAgentError, request: FrontRequest) -> FrontAnswer:
    """Return the answer that tells an error."""
    headers = {**error_headers(error), "request-id": request.id}
    return FrontAnswer(error.status, _encode(error_object(error, request.id)), headers)
