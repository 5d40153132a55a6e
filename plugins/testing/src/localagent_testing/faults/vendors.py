"""Errors of other vendors; servers that offer their models through the OpenAI protocol forward such bodies."""

from __future__ import annotations

from typing import Any

from localagent_testing.http_bytes import answer


def anthropic(kind: str, message: str, **details: str) -> dict[str, Any]:
    """Return an error as Anthropic words it."""
    error: dict[str, Any] = {"type": kind, "message": message}
    return {"type": "error", "error": {**error, "details": details} if details else error}


def gemini(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error as Gemini words it."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def vllm(message: str) -> bytes:
    """Return a 400 as vLLM words it: no ``error`` around it."""
    return answer(400, {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400})
