"""The table of a chat's fields, and the rules for those that Ollama expresses differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent_provider_ollama.fields import GENERATION, Draft, Table, default, kept, unsupported, wrong
from localagent_provider_ollama.messages import ollama_messages

# Values of ``think``. "medium" is sent as true: models with efforts then think with medium effort, and models without
# efforts accept only true and false (some versions of Ollama refuse a string for these).
EFFORTS = {"none": False, "low": "low", "medium": True, "high": "high", "max": "max"}


def _messages(draft: Draft, _: str, value: Any) -> None:
    draft.body["messages"] = ollama_messages(value)


def _tools(draft: Draft, _: str, value: Any) -> None:
    if not isinstance(value, list):
        raise wrong("tools must be a list.")
    for number, tool in enumerate(value):
        if not isinstance(tool, Mapping) or tool.get("type") != "function":
            raise unsupported(f"tools[{number}], which is not a function")
    draft.body["tools"] = value


def _tool_choice(draft: Draft, _: str, value: Any) -> None:
    """Send no tools for ``none``; a call cannot be required."""
    if value == "none":
        draft.body.pop("tools", None)
    elif value != "auto":
        raise unsupported("a tool_choice that requires a call", 'Use tool_choice "auto" or "none".')


def _response_format(draft: Draft, _: str, value: Any) -> None:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "json_object":
        draft.body["format"] = "json"
    elif kind == "json_schema":
        draft.body["format"] = _schema(value.get("json_schema"))
    elif kind != "text":
        raise unsupported("this response_format")


def _schema(described: Any) -> dict[str, Any]:
    """Return the schema alone: Ollama always enforces it, so ``strict`` adds nothing."""
    schema = described.get("schema") if isinstance(described, Mapping) else None
    if not isinstance(schema, dict):
        raise wrong("response_format must contain json_schema.schema, an object.")
    return schema


def _reasoning_effort(draft: Draft, _: str, value: Any) -> None:
    if not isinstance(value, str) or value not in EFFORTS:
        raise unsupported("this reasoning_effort", f"Use one of: {', '.join(EFFORTS)}.")
    draft.body["think"] = EFFORTS[value]


CHAT = Table(
    {
        **GENERATION,
        "messages": _messages,
        "tools": _tools,
        "tool_choice": _tool_choice,
        "parallel_tool_calls": default(True),
        "response_format": _response_format,
        "reasoning_effort": _reasoning_effort,
        "think": kept,
        "logprobs": kept,
        "top_logprobs": kept,
        "modalities": default(["text"]),
        "verbosity": default("medium"),
    }
)
