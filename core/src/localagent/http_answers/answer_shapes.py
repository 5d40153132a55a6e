"""What an answer says, whichever shape it has: ``{"error": {...}}``, ``{"error": "..."}``, a web page, and others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

LOOKED_AT = 64 * 1024  # bytes of a body; an error that needs more explains nothing
READ = 2000  # characters of a server's message; one that long explains nothing at its end
# All patterns take time in proportion to the text, whatever it is: none can begin at many places and run far from each.
PAGE = re.compile(r"(?i)<[/!]?(?:doctype|html|head|body|title|h[1-6]|p|div|span|center|script|style|a|img|br|hr)\b")
_STATUSES: dict[str | int, int] = {form: status for status in range(400, 600) for form in (status, str(status))}


class Said(msgspec.Struct, frozen=True):
    """What an answer said, in whatever shape.

    Attributes:
        status: The status; inside a 200 the server's numeric code, or None.
        names: Codes and types, the most telling first.
        message: The server's message, as it came.
        inside: Whether this came inside a 200: then nobody knows what the provider charges.
        document: The decoded body.
    """

    status: int | None
    names: tuple[str, ...]
    message: str
    inside: bool
    document: Any


def said_in(document: Any, status: int | None) -> Said:
    """Return what an answer said.

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
    """Decode a body; what is not JSON becomes a document of the same meaning. Never raises."""
    head = bytes(body[:LOOKED_AT]).removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(head)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # No JSON, no UTF-8, NaN, a number too long; nested too deep.
        text = head.decode("utf-8", "replace").strip()
    if PAGE.search(text):
        return {"code": "html page"}
    # A sentence in plain text is a message; what is longer, or was to be JSON, explains nothing.
    return {"message": text} if text[:1] not in "{[<" and len(text) <= 1000 else {}


def error_in(document: Any) -> dict[str, Any]:
    """Return the object that tells about the error, whichever shape it has."""
    if isinstance(document, list):
        document = document[0] if document else None
    if isinstance(document, str):
        return {"message": document}
    if not isinstance(document, dict):
        return {}
    error = document.get("error")
    if error is None:  # OpenRouter tells in a choice what failed behind it
        error = next((choice["error"] for choice in objects_in(document.get("choices")) if choice.get("error")), None)
    if isinstance(error, dict):
        return error
    return {**document, "message": error} if isinstance(error, str) else document


def _names_in(part: dict[str, Any]) -> Iterator[str]:
    """Give the codes and types that the error of a document names, the most telling first."""
    for holder in (part, *objects_in(part.get("details")), *objects_in(part.get("innererror"))):
        for key in ("error_code", "code", "type", "error_type", "status", "reason"):
            value = holder.get(key)
            if isinstance(value, str) and value:
                yield value.lower()


def _inner_status(part: dict[str, Any]) -> int | None:
    """Return a numeric code of the server that is an HTTP status of failure."""
    codes = (_STATUSES.get(value) for value in (part.get("code"), part.get("status")) if isinstance(value, str | int))
    return next(filter(None, codes), None)


def _sentence_in(part: dict[str, Any]) -> str:
    """Return the message that the error of a document holds; empty when it holds none."""
    for key in ("message", "detail", "msg"):
        value = part.get(key)
        if isinstance(value, dict):
            value = value.get("detail") or value.get("message")
        if isinstance(value, list):
            value = "; ".join(filter(None, map(_complaint, value[:5])))
        if isinstance(value, str) and value:
            return value if len(value) <= READ else value[:READ].rpartition(" ")[0]  # no half of a key
    return ""


def _complaint(entry: Any) -> str:
    """Return where and what, of one entry of a validation error; never the ``input``, which is the user's."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    where, what = entry.get("loc"), entry.get("msg")
    steps = where if isinstance(where, list) else []
    path = ".".join(
        str(step) for step in steps if isinstance(step, str) or (isinstance(step, int) and abs(step) < 10**6)
    )
    return f"{path}: {what}" if isinstance(what, str) else ""


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, or a value that is one itself; at most 16."""
    entries = value[:16] if isinstance(value, list) else [value]  # no server needs more to say what is wrong
    return [entry for entry in entries if isinstance(entry, dict)]
