"""The input of the Responses API as the messages of a chat.

Parts that chats do not support are refused by name. Reasoning items are skipped: a chat has no place for them, and
clients send back the items that they received.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localagent_gateway.apis.fields import named
from localagent_gateway.errors import WrongField

#: ``developer`` is the newer name of ``system``; the templates of local models only know the older one.
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}

Message = dict[str, Any]


def messages_of(given: Any) -> list[Message]:
    """Return the messages for an ``input``.

    Args:
        given: A string, or a list of items: messages, function calls, their outputs, reasoning.

    Raises:
        InvalidRequest: It is neither, or chats do not support an item.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise WrongField("The field input must be a string or a list of items.", param="input")
    messages: list[Message] = []
    for number, item in enumerate(given):
        where = f"input[{number}]"
        if not isinstance(item, dict):
            raise WrongField(f"{where} must be an object.", param="input")
        kind = item.get("type") or "message"
        add = _ITEMS.get(kind) if isinstance(kind, str) else None
        if add is None:
            raise _unsupported(where, kind)
        add(messages, item, where)
    return messages


def _message(messages: list[Message], item: Message, where: str) -> None:
    given = item.get("role")
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise WrongField(f"{where} must have the role user, assistant, system or developer.", param="input")
    content = _content(item.get("content"), where, joined=role == "assistant")
    last = messages[-1] if messages else {}
    if role == "assistant" and last.get("tool_calls") and last["content"] is None:
        last["content"] = content  # text between calls and their outputs belongs to the message with the calls
    else:
        messages.append({"role": role, "content": content})


def _function_call(messages: list[Message], item: Message, where: str) -> None:
    id, name, arguments = (_text(item, field, where) for field in ("call_id", "name", "arguments"))
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments.strip() or "{}"}}
    messages[-1].setdefault("tool_calls", []).append(call)


def _function_output(messages: list[Message], item: Message, where: str) -> None:
    content = _content(item.get("output"), where, joined=False)
    messages.append({"role": "tool", "tool_call_id": _text(item, "call_id", where), "content": content})


def _reasoning(messages: list[Message], item: Message, where: str) -> None:
    """Skip the item."""


_ITEMS: dict[str, Callable[[list[Message], Message, str], None]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_output,
    "reasoning": _reasoning,
}


def _content(given: Any, where: str, *, joined: bool) -> str | list[Message]:
    """Return the content for a chat: a string if it is only text, since many servers accept lists only from users."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise WrongField(f"{where} must have content: a string or a list of parts.", param="input")
    parts = [_part(part, f"{where} part {number}") for number, part in enumerate(given)]
    if (joined or len(parts) == 1) and all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Any, where: str) -> Message:
    if not isinstance(part, dict):
        raise WrongField(f"{where} must be an object.", param="input")
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": _text(part, "text", where)}
    if kind == "refusal":
        return {"type": "refusal", "refusal": _text(part, "refusal", where)}
    if kind == "input_image":
        return _image(part, where)
    if kind == "input_file" and isinstance(part.get("file_data"), str):
        return {"type": "file", "file": {name: part[name] for name in ("file_data", "filename") if name in part}}
    if kind == "input_audio":
        return part
    raise _unsupported(where, kind)


def _image(part: Message, where: str) -> Message:
    if part.get("file_id") is not None:
        raise WrongField(f"{where} names a file, but the gateway stores no files.", param="input", code="unsupported",
                         hint="Send the image itself as image_url, such as data:image/png;base64,...")  # fmt: skip
    image = {"url": _text(part, "image_url", where)}
    if part.get("detail") is not None:
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _text(item: Message, name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise WrongField(f"{where}.{name} must be a string.", param="input")
    return value


def _unsupported(where: str, kind: Any) -> WrongField:
    return WrongField(f"{where} has the type {named(kind)}, which chats do not support.", param="input",
                      code="unsupported")  # fmt: skip
