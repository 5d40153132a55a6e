"""Rules for Ollama's error messages: it sends neither codes nor types."""

from __future__ import annotations

from localagent.errors import ContextLengthExceeded, InvalidRequest, ModelNotFound, Overloaded, UpstreamServerError
from localagent.http_answers import ErrorRule

ELSEWHERE = {"same": False, "next": True}

RULES = (
    ErrorRule(
        ContextLengthExceeded, {400, 413, 422, 500, None}, text="(?:the )?input length exceeds the context length"
    ),
    ErrorRule(
        ModelNotFound,
        {400, 404, None},
        text=r"model ['\"](?P<model>[\w.:/@-]{1,200})['\"] not found",
        hint="Run: ollama pull {model}.",
    ),
    ErrorRule(Overloaded, {503, None}, text="server busy", advice={**ELSEWHERE, "breaker": "neutral"}),
    ErrorRule(
        UpstreamServerError,
        {500, None},
        text=r"model requires more system memory \((?P<needs>[\d.]{1,12} [KMGT]?i?B)\)",
        says="The model needs {needs} of memory, more than the server has",
        advice=ELSEWHERE,
    ),
    ErrorRule(
        UpstreamServerError,
        {500, None},
        text="timed out waiting for|unable to load model|error loading model|model requires more",
        says="The server could not load the model",
        advice=ELSEWHERE,
    ),
    ErrorRule(
        UpstreamServerError,
        {500, None},
        text="llama runner process|model runner has|an error was encountered while running the model",
        says="The process that ran the model ended",
    ),
    ErrorRule(
        InvalidRequest,
        {400, 404, 415, 422, 500, 501, None},
        text=".{0,200}?missing data required for ",
        code="unsupported",
        advice={"next": True},
    ),
    ErrorRule(InvalidRequest, {500, 501, None}, text=r".{0,200}?\bimage: unknown format\b", advice={"next": True}),
)
