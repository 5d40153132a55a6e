"""The messages of a conversation, from Anthropic's schema to OpenAI's.

=====================  ================================================================================================
at Anthropic           in the OpenAI schema
=====================  ================================================================================================
``system``             a message ``system`` before all others
``text``, ``image``    see ``blocks``
``tool_use``           ``tool_calls`` of the assistant's message, ``arguments`` JSON text; its texts come before them
``tool_result``        a message ``tool``; of an error the text begins with "Error: ", because the schema has no field
``thinking``           ``reasoning_content``; its signature is proof for Anthropic's own servers alone
=====================  ================================================================================================

Blocks of other types are refused by name, and so is what is no text in a tool's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from localagent_gateway.apis.anthropic.blocks import (
    Block,
    Parts,
    blocks,
    content_of,
    image_part,
    only,
    text_of,
    text_part,
)
from localagent_gateway.errors import unsupported, wrong

Messages = list[dict[str, Any]]

_encode = msgspec.json.Encoder().encode
_PARTS = {"text": text_part, "image": image_part}


def openai_messages(messages: Any) -> Messages:
    """Return a conversation in the OpenAI schema.

    Args:
        messages: The ``messages`` of a request.

    Raises:
        InvalidRequest: A message says what cannot be said (code ``unsupported``), or is wrong.
    """
    if not isinstance(messages, list) or not messages:
        raise wrong("The field messages is missing or no list with a message.")
    said: Messages = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        role = message.get("role") if isinstance(message, Mapping) else None
        speak = _ROLES.get(role) if isinstance(role, str) else None
        if speak is None:
            raise wrong(f"{where} is no message of a user, an assistant or the system.")
        only(message, where, "role", "content")
        said += speak(message.get("content"), f"{where}.content")
    return said


def system_messages(content: Any, where: str = "system") -> Messages:
    """Return the message that tells a system prompt; none for an empty one."""
    if not content:
        return []
    parts: Parts = []
    for place, kind, block in blocks(content, where):
        if kind != "text":
            raise unsupported(f"{place}: a block of type {kind[:60]!r} in a system prompt")
        parts.append(text_part(block, place))
    return [{"role": "system", "content": content_of(parts)}]


def _user(content: Any, where: str) -> Messages:
    """Return the tools' messages, then what the user says: results must follow their calls at once."""
    results: Messages = []
    parts: Parts = []
    for place, kind, block in blocks(content, where):
        if kind in _PARTS:
            parts.append(_PARTS[kind](block, place))
        elif kind != "tool_result":
            raise unsupported(f"{place}: a block of type {kind[:60]!r} of a user")
        elif parts:
            raise wrong(f"{place} is a tool_result behind other blocks: results come first.")
        else:
            results.append(_result(block, place))
    return [*results, {"role": "user", "content": content_of(parts)}] if parts else results


def _result(block: Block, where: str) -> dict[str, Any]:
    only(block, where, "tool_use_id", "content", "is_error")
    parts: Parts = []
    for place, kind, inner in blocks(block.get("content") or "", f"{where}.content"):
        if kind != "text":
            raise unsupported(
                f"{place}: a block of type {kind[:60]!r} in a tool's result", "Send it beside the result."
            )
        parts.append(text_part(inner, place))
    if block.get("is_error"):
        parts[0]["text"] = f"Error: {parts[0]['text']}".rstrip()
    return {"role": "tool", "tool_call_id": text_of(block, "tool_use_id", where), "content": content_of(parts)}


def _assistant(content: Any, where: str) -> Messages:
    parts: Parts = []
    calls: list[dict[str, Any]] = []
    thoughts: list[str] = []
    for place, kind, block in blocks(content, where):
        if kind == "text":
            parts.append(text_part(block, place))
        elif kind == "tool_use":
            calls.append(_call(block, place))
        elif kind == "thinking":
            only(block, place, "thinking", "signature")
            thoughts.append(text_of(block, "thinking", place))
        else:
            raise unsupported(f"{place}: a block of type {kind[:60]!r} of an assistant")
    message: dict[str, Any] = {"role": "assistant", "content": content_of(parts) if parts else None}
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return [message]


def _call(block: Block, where: str) -> dict[str, Any]:
    only(block, where, "id", "name", "input", "caller")
    if block.get("caller") not in (None, {"type": "direct"}):
        raise unsupported(f"{where}.caller other than direct")
    if not isinstance(block.get("input"), dict):
        raise wrong(f"{where}.input is no object.")
    function = {"name": text_of(block, "name", where), "arguments": _encode(block["input"]).decode()}
    return {"id": text_of(block, "id", where), "type": "function", "function": function}


_ROLES = {"user": _user, "assistant": _assistant, "system": system_messages}
