"""The messages of a conversation, from Ollama's schema to OpenAI's.

=====================  ================================================================================================
at Ollama              in the OpenAI schema
=====================  ================================================================================================
``images``             parts ``image_url`` with ``data:`` addresses, before the text, as in Ollama
``tool_calls``         the same, with ``arguments`` as JSON text instead of an object; those without an id get one
``tool_name``          ``tool_call_id`` of the first call with that name that has no answer yet; else ``name``
``thinking``           ``reasoning_content``
=====================  ================================================================================================

Other fields that are not empty are passed on unchanged.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from localagent_gateway.errors import wrong

_encode = msgspec.json.Encoder().encode
_KNOWN = frozenset({"role", "content", "images", "tool_calls", "tool_name", "tool_call_id", "thinking"})
#: The first bytes of image files (https://en.wikipedia.org/wiki/List_of_file_signatures), in base64: decoding takes
#: many times as long, and a request may have thousands of images.
_SIGNATURES = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGO": "image/gif",
    "UklGR": "image/webp",
    "Qk0": "image/bmp",
    "Qk1": "image/bmp",
    "Qk2": "image/bmp",
    "Qk3": "image/bmp",
}


def openai_messages(messages: Any) -> list[dict[str, Any]]:
    """Return a conversation in the OpenAI schema.

    Args:
        messages: The ``messages`` of a chat.

    Raises:
        InvalidRequest: The list or one of its messages is invalid.
    """
    if not isinstance(messages, list):
        raise wrong("The field messages must be a list.")
    calls = _Calls()
    return [_message(message, f"messages[{number}]", calls) for number, message in enumerate(messages)]


def user_message(prompt: str, images: Any, where: str) -> dict[str, Any]:
    """Return a message of the user.

    Args:
        prompt: Its text.
        images: The images in base64; None if there are no images.
        where: Its name in errors.
    """
    return {"role": "user", "content": _content(prompt, images, where)}


class _Calls:
    """The tool calls of a conversation so far; a call is found by its id, by its name, or as the first of all."""

    __slots__ = ("_answered", "_seen", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], deque[tuple[int, str]]] = {}
        self._answered: set[int] = set()
        self._seen = 0

    def add(self, ident: Any, name: str) -> str:
        """Record a call, and return its id; a generated id is the same each time the conversation is sent."""
        self._seen += 1
        call_id = str(ident or f"call_{self._seen}")
        for key in (("id", call_id), ("name", name), ("any", "")):
            self._waiting.setdefault(key, deque()).append((self._seen, call_id))
        return call_id

    def answered(self, ident: Any, name: Any) -> dict[str, Any]:
        """Return the fields of a tool's message that identify the call it answers."""
        key = ("id", ident) if ident else ("name", name) if name else ("any", "")
        waiting = self._waiting.get(key) if isinstance(key[1], str) else None
        while waiting:
            number, call_id = waiting.popleft()
            if number not in self._answered:
                self._answered.add(number)
                return {"tool_call_id": call_id}
        return {key: value for key, value in (("tool_call_id", ident), ("name", name)) if value}


def _message(message: Any, where: str, calls: _Calls) -> dict[str, Any]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise wrong(f"{where} must be an object with a role.")
    said = {name: value for name, value in message.items() if name not in _KNOWN and value}
    said["role"] = message["role"]
    said["content"] = _content(message.get("content") or "", message.get("images"), where)
    if message.get("thinking"):
        said["reasoning_content"] = message["thinking"]
    if message.get("tool_calls"):
        said["tool_calls"] = _tool_calls(message["tool_calls"], where, calls)
    if message["role"] == "tool":
        said |= calls.answered(message.get("tool_call_id"), message.get("tool_name"))
    return said


def _content(text: Any, images: Any, where: str) -> str | list[dict[str, Any]]:
    if not isinstance(text, str):
        raise wrong(f"The content of {where} must be a string.")
    if not images:
        return text
    if not isinstance(images, list):
        raise wrong(f"The images of {where} must be a list.")
    parts = [_image(image, f"{where}.images[{number}]") for number, image in enumerate(images)]
    return [*parts, {"type": "text", "text": text}] if text else parts


def _image(image: Any, where: str) -> dict[str, Any]:
    kind = _kind(image) if isinstance(image, str) else None
    if kind is None:
        raise wrong(f"{where} must be a PNG, JPEG, GIF, WebP or BMP image in base64.")
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{image}"}}


def _kind(image: str) -> str | None:
    """Return the media type of an image by its first bytes; None if it is unknown. The rest is not checked."""
    for signature, kind in _SIGNATURES.items():
        if image.startswith(signature):
            return kind
    return None


def _tool_calls(given: Any, where: str, calls: _Calls) -> list[dict[str, Any]]:
    if not isinstance(given, list):
        raise wrong(f"The tool_calls of {where} must be a list.")
    return [_tool_call(call, f"{where}.tool_calls[{number}]", calls) for number, call in enumerate(given)]


def _tool_call(call: Any, where: str, calls: _Calls) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise wrong(f"{where} must have a function with a name.")
    arguments = function.get("arguments")
    if not isinstance(arguments, dict | None):
        raise wrong(f"The arguments of {where} must be an object.")
    name, text = function["name"], _encode(arguments or {}).decode()
    return {
        "id": calls.add(call.get("id"), name),
        "type": "function",
        "function": {"name": name, "arguments": text},
    }
