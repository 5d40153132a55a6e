"""The arguments of a tool call, for APIs that tell them as an object; in the OpenAI schema they are JSON text."""

from __future__ import annotations

import msgspec

NO_ARGUMENTS = msgspec.Raw(b"{}")


def object_of(arguments: str) -> msgspec.Raw | None:
    """Return arguments as a JSON object in one line, number for number as they came; None when they are no object.

    Args:
        arguments: JSON text. No text at all, null and an empty list, which some servers send, are no arguments.
    """
    try:
        flat = msgspec.json.format(arguments.encode(), indent=-1) if arguments.strip() else b"null"
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if flat in (b"null", b"[]"):
        return NO_ARGUMENTS
    return msgspec.Raw(flat) if flat.startswith(b"{") else None
