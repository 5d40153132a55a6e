"""Answers of the Responses API: the response object and its items.

Field by field as in https://platform.openai.com/docs/api-reference/responses/object; the official SDK's models say
which fields are required.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localagent import LocalAgentError, Usage
from localagent.schema import Ended
from localagent_gateway.apis.error_shapes import sentence

Document = dict[str, Any]

# What an answer repeats of its request, and what it says where the request said nothing.
_REPEATED: Mapping[str, Any] = {
    "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "prompt_cache_key": None, "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None, "service_tier": None, "temperature": None, "text": {"format": {"type": "text"}},
    "tool_choice": "auto", "top_logprobs": None, "top_p": None, "truncation": "disabled", "user": None,
}  # fmt: skip
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Opening:
    """What is known of an answer before its content.

    Args:
        asked: The decoded body of the request.
        name: Unique among answers; part of every id in this one.
        wall: Returns the seconds since the epoch.

    Attributes:
        model: The model that answers, as ``provider/name``; set when it is known.
    """

    def __init__(self, asked: Document, name: str, wall: Callable[[], float]) -> None:
        self._asked = asked
        self._name = name
        self._wall = wall
        self._created = int(wall())
        self.model = ""

    def id(self, kind: str, place: int) -> str:
        """Return the id of the item at a place; ``kind`` is msg, fc or rs."""
        return f"{kind}_{self._name}_{place}"

    def response(self, status: str, output: list[Document], **more: Any) -> Document:
        """Return a response object with every field that clients require."""
        repeated = {name: default if (value := self._asked.get(name)) is None else value
                    for name, default in _REPEATED.items()}  # fmt: skip
        return {
            "id": f"resp_{self._name}", "object": "response", "created_at": self._created, "status": status,
            "background": False, "completed_at": None, "error": None, "incomplete_details": None,
            "model": self.model, "output": output, "previous_response_id": None, "store": False, "usage": None,
            "tools": [_tool(tool) for tool in self._asked.get("tools") or ()], **repeated, **more,
        }  # fmt: skip

    def ended(self, output: list[Document], ended: Ended) -> Document:
        """Return the response object of an answer that has ended well, whole or cut short by a limit."""
        reason, usage = _INCOMPLETE.get(ended.finish_reason), usage_object(ended.usage)
        if reason:
            return self.response("incomplete", output, incomplete_details={"reason": reason}, usage=usage)
        return self.response("completed", output, completed_at=int(self._wall()), usage=usage)

    def failed(self, output: list[Document], error: LocalAgentError) -> Document:
        """Return the response object of an answer that broke off."""
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        return self.response("failed", output, error={"code": code, "message": sentence(error)})


def _tool(tool: Document) -> Document:
    return {"description": None, "parameters": None, "strict": None, **tool}


def item_status(finish: str) -> str:
    """Return the status of the last item of an answer with this finish reason."""
    return "incomplete" if finish in _INCOMPLETE else "completed"


def usage_object(usage: Usage | None) -> Document | None:
    """Return token counts as the Responses API names them."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def text_part(text: str) -> Document:
    """Return a message's part of text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Document:
    """Return a message's part that says what the model will not do."""
    return {"type": "refusal", "refusal": text}


def message_item(id: str, parts: list[Document], status: str) -> Document:
    """Return a message."""
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": parts}


def reasoning_item(id: str, text: str, status: str) -> Document:
    """Return what the model thought before it answered."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": id, "type": "reasoning", "status": status, "summary": [], "content": content}


def call_item(id: str, call_id: str, name: str, arguments: str, status: str) -> Document:
    """Return a call of a function."""
    return {"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
            "arguments": arguments}  # fmt: skip
