"""Errors in Ollama's shape: ``{"error": "a sentence"}``."""

from __future__ import annotations

import msgspec

from localagent import LocalAgentError
from localagent.plugin_api import FrontAnswer, FrontRequest
from localagent_gateway.apis.openai.errors import error_headers, sentence

_encode = msgspec.json.Encoder().encode


def error_line(error: LocalAgentError) -> bytes:
    """Return the error as one JSON object, without a line's end."""
    return _encode({"error": sentence(error)})


def ollama_error(error: LocalAgentError, request: FrontRequest) -> FrontAnswer:
    """Return the answer that tells an error."""
    return FrontAnswer(error.status, error_line(error), error_headers(error))
