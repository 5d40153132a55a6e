"""Rules for the error types and messages of llama.cpp's server."""

from __future__ import annotations

from localagent.errors import ContextLengthExceeded, InvalidRequest, Overloaded
from localagent.http_answers import ErrorRule

RULES = (
    ErrorRule(
        Overloaded, {503}, text="loading model", says="The server is loading the model", advice={"breaker": "neutral"}
    ),
    ErrorRule(ContextLengthExceeded, {400, 413, 422, None}, names="exceed_context_size_error"),
    ErrorRule(ContextLengthExceeded, {500}, text="input .{0,200}is too large to process"),
    ErrorRule(InvalidRequest, names="not_supported_error", code="unsupported", advice={"next": True}),
)
