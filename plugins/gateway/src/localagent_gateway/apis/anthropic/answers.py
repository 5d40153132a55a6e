"""Answers in the OpenAI schema, told in Anthropic's.

=====================================  ================================================================================
in the OpenAI schema                   at Anthropic
=====================================  ================================================================================
``reasoning_content``, ``reasoning``   a block ``thinking``; its signature is empty: nobody here signs
``content``, ``refusal``               a block ``text``
``tool_calls``                         blocks ``tool_use``, ``input`` an object instead of JSON text
``finish_reason``                      ``stop_reason``, see ``stop_of``
``prompt_tokens``                      ``input_tokens`` without those cached, and ``cache_read_input_tokens``
``completion_tokens``                  ``output_tokens``
=====================================  ================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from localagent import Response, UpstreamProtocol, Usage
from localagent_gateway.apis.anthropic.documents import Choice, Spoken, ToolCall, first_choice

Document = dict[str, Any]

_decode = msgspec.json.Decoder().decode
NOTHING = Spoken()


class Opening:
    """What is known of an answer before its content.

    Args:
        name: Unique among answers; part of every id in this one.
        stops: The stop sequences that were asked for.

    Attributes:
        model: The model that answers, as ``provider/name``; set when it is known.
    """

    def __init__(self, name: str, stops: Sequence[str]) -> None:
        self._name = name
        self.stops = stops
        self.model = ""

    def call_id(self, place: int) -> str:
        """Return the id of a tool call to which the server gave none."""
        return f"toolu_{self._name}_{place}"

    def message(self, content: list[Document], stop: Document, usage: Usage | None) -> Document:
        """Return the message object."""
        return {"id": f"msg_{self._name}", "type": "message", "role": "assistant", "model": self.model,
                "content": content, **stop, "usage": usage_of(usage)}  # fmt: skip


def whole_message(opening: Opening, response: Response) -> Document:
    """Return a whole answer.

    Args:
        opening: What is known beside it.
        response: The answer of the pipeline.

    Raises:
        UpstreamProtocol: The answer has not the shape of one, or calls a tool with something that is no object.
    """
    choice = first_choice(response.raw) or Choice()
    said = choice.message or NOTHING
    stop = stop_of(choice.finish_reason, opening.stops, choice.stop_reason,
                   called=bool(said.tool_calls), refused=bool(said.refusal))  # fmt: skip
    return opening.message(_content(said, opening), stop, response.usage)


def stop_of(finish: str | None, stops: Sequence[str], matched: Any, *, called: bool, refused: bool) -> Document:
    """Return why an answer ended: ``stop_reason`` and ``stop_sequence``.

    Args:
        finish: The finish reason.
        stops: The stop sequences that were asked for.
        matched: The one that ended the answer, from a server that tells.
        called: Whether tools are called; some servers finish these by ``stop``.
        refused: Whether the model refused.
    """
    reason, sequence = "end_turn", None
    if refused or finish == "content_filter":
        reason = "refusal"
    elif finish == "length":
        reason = "max_tokens"
    elif called:
        reason = "tool_use"
    elif isinstance(matched, str) and matched in stops:
        reason, sequence = "stop_sequence", matched
    return {"stop_reason": reason, "stop_sequence": sequence}


def usage_of(usage: Usage | None) -> Document:
    """Return token counts; zeros when the server told none, because clients of this API need numbers."""
    told = usage or Usage()
    return {
        "input_tokens": max(told.prompt_tokens - told.cached_tokens, 0),
        "cache_read_input_tokens": told.cached_tokens,
        "output_tokens": told.completion_tokens,
    }


def _content(said: Spoken, opening: Opening) -> list[Document]:
    content: list[Document] = []
    if said.thought:
        content.append({"type": "thinking", "thinking": said.thought, "signature": ""})
    if said.text:
        content.append({"type": "text", "text": said.text})
    return content + [_tool_use(call, opening.call_id(place)) for place, call in enumerate(said.tool_calls or ())]


def _tool_use(call: ToolCall, fallback: str) -> Document:
    if not call.function.name:
        raise UpstreamProtocol("A tool call of the model names no tool.")
    return {"type": "tool_use", "id": call.id or fallback, "name": call.function.name, "input": _input(call)}


def _input(call: ToolCall) -> Document:
    """Return a call's arguments as an object; no text at all means none."""
    given = call.function.arguments
    try:
        told = _decode(given) if isinstance(given, str) and given.strip() else given or {}
    except (msgspec.MsgspecError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise UpstreamProtocol("A tool call of the model holds no JSON object; max_tokens may have cut it off.")
    return told
