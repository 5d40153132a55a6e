"""Converts the messages of a conversation from the OpenAI schema to Ollama's.

=====================  ================================================================================================
in the OpenAI schema   at Ollama
=====================  ================================================================================================
``role``               the same; ``developer`` becomes ``system``
``content``            text; text parts are joined with newlines, images go to ``images``
``image_url``          base64 data of a ``data:`` address; Ollama does not fetch addresses
``tool_calls``         the same, with ``arguments`` as an object instead of JSON text
``tool_call_id``       the same, and ``tool_name``: the name of the function of that call
``name``               ``tool_name`` of a tool's message; other messages cannot have one
``reasoning_content``  ``thinking``; so is ``reasoning``
=====================  ================================================================================================

Other fields that are not empty are an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from localagent.http_answers import redact
from localagent_provider_ollama.fields import unsupported, wrong

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_KNOWN = frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content", "reasoning"})


def ollama_messages(messages: Any) -> list[dict[str, Any]]:
    """Return a conversation in Ollama's format.

    Args:
        messages: The ``messages`` of a chat.

    Raises:
        InvalidRequest: A message needs something that Ollama's API does not support (code ``unsupported``), or is not
            valid.
    """
    if not isinstance(messages, list):
        raise wrong("messages must be a list.")
    called: dict[str, str] = {}
    return [_message(message, f"messages[{number}]", called) for number, message in enumerate(messages)]


def _message(message: Any, where: str, called: dict[str, str]) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise wrong(f"{where} must be an object.")
    for name, value in message.items():
        if name not in _KNOWN and value:
            raise unsupported(f"{where}.{redact(name)}")
    role = ROLES.get(message.get("role", ""))
    if role is None:
        raise unsupported(f"the role of {where}")
    said = {"role": role, **_content(message.get("content"), where)}
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if thinking:
        said["thinking"] = thinking
    if message.get("tool_calls"):
        said["tool_calls"] = _tool_calls(message["tool_calls"], f"{where}.tool_calls", called)
    if role == "tool":
        said |= _of_tool(message, called)
    elif message.get("name"):
        raise unsupported(f"{where}.name")
    return said


def _of_tool(message: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, str]:
    """Return the id and the function of the call that a tool's message answers."""
    ident = message.get("tool_call_id")
    name = message.get("name") or called.get(str(ident))
    return {key: value for key, value in (("tool_name", name), ("tool_call_id", ident)) if value}


def _content(content: Any, where: str) -> dict[str, Any]:
    if content is None or isinstance(content, str):
        return {"content": content or ""}
    if not isinstance(content, list):
        raise wrong(f"{where}.content must be text or a list of parts.")
    texts: list[str] = []
    images: list[str] = []
    for number, part in enumerate(content):
        _part(part, f"{where}.content[{number}]", texts, images)
    said: dict[str, Any] = {"content": "\n".join(texts)}
    if images:
        said["images"] = images
    return said


def _part(part: Any, where: str, texts: list[str], images: list[str]) -> None:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        texts.append(part["text"])
    elif kind == "image_url":
        images.append(_image(part.get("image_url"), where))
    elif kind == "text" or not isinstance(kind, str):
        raise wrong(f"{where} is not a valid part of a message.")
    else:
        raise unsupported(f"{where}, which is neither text nor an image")


def _image(image: Any, where: str) -> str:
    address = image.get("url") if isinstance(image, Mapping) else image
    if not isinstance(address, str):
        raise wrong(f"{where} must contain the address of an image.")
    head, comma, data = address.partition(",")
    if head[:5].lower() != "data:":
        raise unsupported(f"the remote image of {where}", "Send the image itself, as a data: address.")
    if not comma or not head.lower().endswith(";base64"):
        raise unsupported(f"the image of {where}, which is not in base64")
    return data


def _tool_calls(calls: Any, where: str, called: dict[str, str]) -> list[dict[str, Any]]:
    if not isinstance(calls, list):
        raise wrong(f"{where} must be a list.")
    return [_tool_call(call, f"{where}[{number}]", called) for number, call in enumerate(calls)]


def _tool_call(call: Any, where: str, called: dict[str, str]) -> dict[str, Any]:
    if isinstance(call, Mapping) and call.get("type", "function") != "function":
        raise unsupported(f"{where}, which is not a function call")
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise wrong(f"{where} must name a function.")
    said: dict[str, Any] = {"function": {"name": function["name"], "arguments": _arguments(function, where)}}
    if isinstance(call.get("id"), str) and call["id"]:
        said["id"] = call["id"]
        called[call["id"]] = function["name"]
    return said


def _arguments(function: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a call's arguments as an object; empty text means no arguments."""
    given = function.get("arguments")
    try:
        arguments = msgspec.json.decode(given) if isinstance(given, str) and given.strip() else given or {}
    except (msgspec.MsgspecError, ValueError, RecursionError):  # not JSON, or nested too deep
        arguments = None
    if not isinstance(arguments, dict):
        raise wrong(f"{where}.function.arguments must be a JSON object.")
    return arguments
