"""The messages of a conversation and their blocks of content, from Anthropic's schema to OpenAI's.

==================  ===================================================================================================
at Anthropic        in the OpenAI schema
==================  ===================================================================================================
``system``          a message ``system`` before all others
``text``            a part ``text``; a single one is a bare string
``image``           a part ``image_url``: a ``data:`` address for ``base64``, the same address for ``url``
``tool_use``        ``tool_calls`` of the assistant's message, with ``arguments`` as JSON text; its texts come first
``tool_result``     a message ``tool``; the text of an error starts with "Error: ", because the schema has no field
``thinking``        ``reasoning_content``; only Anthropic's own servers can check its signature
``cache_control``   left out: it marks content that Anthropic's servers cache, and does not change the answer
==================  ===================================================================================================

A field that is not empty and not in a table is refused by name. So are blocks of other types, and blocks other than
text in a tool's result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from localagent_gateway.errors import unsupported, wrong

Block = Mapping[str, Any]
ContentParts = list[dict[str, Any]]
Messages = list[dict[str, Any]]

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")  # not a set: a value in a body may not be hashable
_EVERYWHERE = frozenset({"type", "cache_control"})

_encode = msgspec.json.Encoder().encode


def blocks(content: Any, where: str) -> Iterator[tuple[str, str, Block]]:
    """Yield the blocks of content, each with its name in errors and its type.

    Args:
        content: A string, which is one block, or a list of blocks.
        where: The name of the content in errors.

    Raises:
        InvalidRequest: It is neither, or the list has an invalid block.
    """
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise wrong(f"{where} must be a string or a list of blocks.")
    for number, block in enumerate(content):
        place = f"{where}[{number}]"
        if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
            raise wrong(f"{place} must be a block with a type.")
        yield place, block["type"], block


def only(block: Block, where: str, *known: str) -> None:
    """Refuse a block with fields other than the known ones.

    Raises:
        InvalidRequest: A field is not known (code ``unsupported``).
    """
    for name, value in block.items():
        if value and name not in known and name not in _EVERYWHERE:
            raise unsupported(f"{where}.{name[:60]}")


def text_of(block: Block, name: str, where: str) -> str:
    """Return a field of a block that must be a string.

    Raises:
        InvalidRequest: It is not a string.
    """
    value = block.get(name)
    if not isinstance(value, str):
        raise wrong(f"{where}.{name} must be a string.")
    return value


def text_part(block: Block, where: str) -> dict[str, Any]:
    """Return the part for a block of type ``text``."""
    only(block, where, "text")
    return {"type": "text", "text": text_of(block, "text", where)}


def image_part(block: Block, where: str) -> dict[str, Any]:
    """Return the part for a block of type ``image``.

    Raises:
        InvalidRequest: Its source is neither base64 of a known format nor a web address.
    """
    only(block, where, "source")
    source = block.get("source")
    if not isinstance(source, Mapping):
        raise wrong(f"{where}.source must be an object.")
    return {"type": "image_url", "image_url": {"url": _address(source, f"{where}.source")}}


def content_of(parts: ContentParts) -> str | ContentParts:
    """Return parts as the content of a message; a single text becomes a string, which every server accepts."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _address(source: Block, where: str) -> str:
    kind = source.get("type")
    if kind == "base64":
        only(source, where, "media_type", "data")
        if source.get("media_type") not in IMAGES:
            raise unsupported(f"this value of {where}.media_type", f"Use one of: {', '.join(IMAGES)}.")
        return f"data:{source['media_type']};base64,{text_of(source, 'data', where)}"
    if kind == "url":
        only(source, where, "url")
        address = text_of(source, "url", where)
        if not address.startswith(("https://", "http://")):  # other schemes could read files of the server
            raise wrong(f"{where}.url must be a web address.")
        return address
    raise unsupported(f"this value of {where}.type", "Use base64 or url.")


def openai_messages(messages: Any) -> Messages:
    """Return a conversation in the OpenAI schema.

    Args:
        messages: The ``messages`` of a request.

    Raises:
        InvalidRequest: A message is wrong or not supported (code ``unsupported``).
    """
    if not isinstance(messages, list) or not messages:
        raise wrong("The field messages must be a list with at least one message.")
    said: Messages = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        role = message.get("role") if isinstance(message, Mapping) else None
        speak = _ROLES.get(role) if isinstance(role, str) else None
        if speak is None:
            raise wrong(f"{where} must be a message with the role user, assistant or system.")
        only(message, where, "role", "content")
        said += speak(message.get("content"), f"{where}.content")
    return said


def system_messages(content: Any, where: str = "system") -> Messages:
    """Return the message for a system prompt; an empty list for an empty prompt."""
    if not content:
        return []
    parts: ContentParts = []
    for place, kind, block in blocks(content, where):
        if kind != "text":
            raise unsupported(f"{place}, a block of type {kind[:60]!r} in a system prompt")
        parts.append(text_part(block, place))
    return [{"role": "system", "content": content_of(parts)}]


def _user(content: Any, where: str) -> Messages:
    """Return the tools' messages, then the user's: results must follow their calls directly."""
    results: Messages = []
    parts: ContentParts = []
    for place, kind, block in blocks(content, where):
        if kind in _PARTS:
            parts.append(_PARTS[kind](block, place))
        elif kind != "tool_result":
            raise unsupported(f"{place}, a block of type {kind[:60]!r} of a user")
        elif parts:
            raise wrong(f"{place} is a tool_result after other blocks; results must come first.")
        else:
            results.append(_result(block, place))
    return [*results, {"role": "user", "content": content_of(parts)}] if parts else results


def _result(block: Block, where: str) -> dict[str, Any]:
    only(block, where, "tool_use_id", "content", "is_error")
    parts: ContentParts = []
    for place, kind, inner in blocks(block.get("content") or "", f"{where}.content"):
        if kind != "text":
            raise unsupported(
                f"{place}, a block of type {kind[:60]!r} in a tool's result", "Send it next to the result."
            )
        parts.append(text_part(inner, place))
    if block.get("is_error"):
        parts[0]["text"] = f"Error: {parts[0]['text']}".rstrip()
    return {"role": "tool", "tool_call_id": text_of(block, "tool_use_id", where), "content": content_of(parts)}


def _assistant(content: Any, where: str) -> Messages:
    parts: ContentParts = []
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
            raise unsupported(f"{place}, a block of type {kind[:60]!r} of an assistant")
    message: dict[str, Any] = {"role": "assistant", "content": content_of(parts) if parts else None}
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return [message]


def _call(block: Block, where: str) -> dict[str, Any]:
    only(block, where, "id", "name", "input", "caller")
    if block.get("caller") not in (None, {"type": "direct"}):
        raise unsupported(f"values of {where}.caller other than direct")
    if not isinstance(block.get("input"), dict):
        raise wrong(f"{where}.input must be an object.")
    function = {"name": text_of(block, "name", where), "arguments": _encode(block["input"]).decode()}
    return {"id": text_of(block, "id", where), "type": "function", "function": function}


_PARTS = {"text": text_part, "image": image_part}
_ROLES = {"user": _user, "assistant": _assistant, "system": system_messages}
