"""Rules about the heads of answers that all transports share, beyond those of their parsers.

They are the rules of RFC 9112, read strictly: an answer is refused if it is in doubt where its head or body ends or
which protocol it uses. llhttp as connect-fast uses it refuses most of these by itself; aiohttp makes llhttp lenient,
so the default transport checks the bytes of a head first (``is_odd``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localagent.errors import UpstreamProtocol

# What aiohttp's parser allows.
MOST_HEADERS = 128
LONGEST = 8190
"""The most bytes of a header's name and value together, and of a status line."""

_CONTROLS = bytes({*range(32), 127} - set(b"\t\r\n"))
_SPACE_BEFORE_COLON = re.compile(rb"\n[^:\n]*[ \t]:")
_HEAD_END = b"\r\n\r\n"


def check_head(version: tuple[int, int], status: int, codings: Sequence[str]) -> None:
    """Refuse an answer that uses another protocol, or whose end is in doubt.

    Args:
        version: The HTTP version.
        status: The status.
        codings: The values of all ``Transfer-Encoding`` headers.

    Raises:
        UpstreamProtocol: The answer breaks a rule.
    """
    if version not in ((1, 1), (1, 0)) or status < 100 or status == 101:
        raise UpstreamProtocol("The server's answer uses another protocol.", phase="read")
    if codings and ([coding.strip(" \t").lower() for coding in codings] != ["chunked"] or version == (1, 0)):
        raise UpstreamProtocol("The answer has an unsupported Transfer-Encoding.", phase="read")


def check_size(pairs: Sequence[tuple[bytes, bytes]], size: int) -> None:
    """Refuse too many headers, or headers that are too long.

    Args:
        pairs: Names and values as received.
        size: The most bytes that all of them together can take.

    Raises:
        UpstreamProtocol: There are too many, or one is too long.
    """
    longest = size > LONGEST and max((len(name) + len(value) for name, value in pairs), default=0)
    if len(pairs) > MOST_HEADERS or longest > LONGEST:
        raise UpstreamProtocol("The answer has too many headers, or one that is too long.", phase="read")


def check_reason(reason: bytes) -> None:
    """Refuse a reason phrase that is too long or contains control characters; errors as in ``check_size``."""
    if len(reason) > LONGEST or len(reason.translate(None, _CONTROLS)) != len(reason):
        raise UpstreamProtocol("The answer's status line is not valid.", phase="read")


def is_odd(head: bytes) -> bool:
    """Return whether a head contains something that RFC 9112 forbids and lenient parsers accept.

    These are bare line feeds, folded headers, spaces before a colon, and control characters.

    Args:
        head: The bytes of one or more heads, from the first byte of a status line to the end of a line.
    """
    if head.count(b"\n") != head.count(b"\r\n") or b"\n " in head or b"\n\t" in head:
        return True
    if len(head.translate(None, _CONTROLS)) != len(head):
        return True
    return (b" :" in head or b"\t:" in head) and _SPACE_BEFORE_COLON.search(head) is not None


def end_of_heads(data: bytes) -> int:
    """Return where the head of an answer ends, after the heads of interim answers; -1 when it is not complete."""
    start = 0
    while (end := data.find(_HEAD_END, start)) >= 0:
        end += len(_HEAD_END)
        if data[start + 9 : start + 10] != b"1":
            return end
        start = end
    return -1
