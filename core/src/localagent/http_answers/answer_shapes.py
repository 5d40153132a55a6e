"""Reads error answers in every shape: ``{"error": {...}}``, ``{"error": "..."}``, a web page, and others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

LOOKED_AT = 64 * 1024  # bytes of a body that are read; a longer error explains nothing more
READ = 2000  # characters of a server's message that are read; the rest explains nothing more
# All patterns run in linear time for every text: none can start at many positions and run far from each.
PAGE = re.compile(r"(?i)<[/!]?(?:doctype|html|head|body|title|h[1-6]|p|div|span|center|script|style|a|img|br|hr)\b")
_STATUSES: dict[str | int, int] = {form: status for status in range(400, 600) for form in (status, str(status))}


class Said(msgspec.Struct, frozen=True):
    """The contents of an error answer, in any shape.

    Attributes:
        status: The status; inside a 200 the server's numeric code, or None.
        names: Codes and types, the most specific first.
        message: The server's message, unchanged.
        inside: Whether the error came inside a 200: then it is unknown whether the provider charges for it.
        document: The decoded body.
    """

    status: int | None
    names: tuple[str, ...]
    message: str
    inside: bool
    document: Any


def said_in(document: Any, status: int | None) -> Said:
    """Read the error in a decoded body.

    Args:
        document: The decoded body.
        status: The status of the status line; None inside a 200.
    """
    inside = status is None
    part = error_in(document)
    return Said(_inner_status(part) if inside else status, tuple(_names_in(part)), _sentence_in(part), inside, document)


def is_error(body: bytes) -> bool:
    """Whether a body without choices calls itself an error, such as ``{"object": "error", "message": "..."}``."""
    document = document_of(body)
    return isinstance(document, dict) and "error" in [document.get(name) for name in ("object", "type", "status")]


def document_of(body: bytes) -> Any:
    """Decode a body; one that is not JSON becomes a document with the same meaning. Never raises."""
    head = bytes(body[:LOOKED_AT]).removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(head)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Not JSON, not UTF-8, NaN, a number that is too long; nested too deeply.
        text = head.decode("utf-8", "replace").strip()
    if PAGE.search(text):
        return {"code": "html page"}
    # A sentence in plain text is a message; a longer text, or broken JSON, explains nothing.
    return {"message": text} if text[:1] not in "{[<" and len(text) <= 1000 else {}


def error_in(document: Any) -> dict[str, Any]:
    """Return the object that describes the error, in any shape."""
    if isinstance(document, list):
        document = document[0] if document else None
    if isinstance(document, str):
        return {"message": document}
    if not isinstance(document, dict):
        return {}
    error = document.get("error")
    if error is None:  # OpenRouter reports a failed upstream in a choice
        error = next((choice["error"] for choice in objects_in(document.get("choices")) if choice.get("error")), None)
    if isinstance(error, dict):
        return error
    return {**document, "message": error} if isinstance(error, str) else document


def _names_in(part: dict[str, Any]) -> Iterator[str]:
    """Yield the codes and types that the error of a document names, the most specific first."""
    for holder in (part, *objects_in(part.get("details")), *objects_in(part.get("innererror"))):
        for key in ("error_code", "code", "type", "error_type", "status", "reason"):
            value = holder.get(key)
            if isinstance(value, str) and value:
                yield value.lower()


def _inner_status(part: dict[str, Any]) -> int | None:
    """Return the server's numeric code if it is the HTTP status of a failure."""
    codes = (_STATUSES.get(value) for value in (part.get("code"), part.get("status")) if isinstance(value, str | int))
    return next(filter(None, codes), None)


def _sentence_in(part: dict[str, Any]) -> str:
    """Return the message of a document's error; empty when it has none."""
    for key in ("message", "detail", "msg"):
        value = part.get(key)
        if isinstance(value, dict):
            value = value.get("detail") or value.get("message")
        if isinstance(value, list):
            value = "; ".join(filter(None, map(_complaint, value[:5])))
        if isinstance(value, str) and value:
            return value if len(value) <= READ else value[:READ].rpartition(" ")[0]  # never half of a key
    return ""


def _complaint(entry: Any) -> str:
    """Return path and message of one entry of a validation error; never the ``input``, which is the user's text."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    where, what = entry.get("loc"), entry.get("msg")
    steps = where if isinstance(where, list) else []
    path = ".".join(
        str(step) for step in steps if isinstance(step, str) or (isinstance(step, int) and abs(step) < 10**6)
    )
    return f"{path}: {what}" if isinstance(what, str) else ""


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list, or a single object as a list; at most 16."""
    entries = value[:16] if isinstance(value, list) else [value]  # no server needs more to explain an error
    return [entry for entry in entries if isinstance(entry, dict)]
