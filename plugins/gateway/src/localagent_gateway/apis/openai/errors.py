"""Errors in OpenAI's shape."""

from __future__ import annotations

import math

import msgspec

from localagent import LocalAgentError
from localagent.errors import RequestRejected
from localagent.plugin_api import FrontAnswer, FrontRequest
from localagent_gateway.errors import WrongField

_encode = msgspec.json.Encoder().encode
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def error_object(error: LocalAgentError) -> dict[str, object]:
    """Return ``{"error": {...}}`` with message, type, param and code."""
    status = error.status
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    param = error.param if isinstance(error, WrongField) else None
    return {"error": {"message": sentence(error), "type": kind, "param": param, "code": error.code}}


def sentence(error: LocalAgentError) -> str:
    """Return what a client reads: our sentence, the model server's own, and what to change in the request."""
    mend = error.mend if isinstance(error, RequestRejected) and error.mend else ""
    return f"{error.message}{error.quotation} {mend}".rstrip()


def error_headers(error: LocalAgentError) -> dict[str, str]:
    """Return the headers of an error in any dialect.

    Once attempts were made here, ``x-should-retry: false`` keeps clients from multiplying them with their own.
    """
    headers = {"x-should-retry": "false"} if error.attempts else {}
    if error.retry_after is not None and math.isfinite(error.retry_after):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def openai_error(error: LocalAgentError, request: FrontRequest) -> FrontAnswer:
    """Return the answer that tells an error."""
    return FrontAnswer(error.status, _encode(error_object(error)), error_headers(error))
