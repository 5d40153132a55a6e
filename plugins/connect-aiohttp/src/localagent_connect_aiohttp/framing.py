"""Rules about the heads of answers that all transports share, beyond those of their parsers.

They are RFC 9112's, read strictly: what leaves in doubt where a head or an answer ends, or which protocol it speaks, is
refused. llhttp as connect-fast uses it refuses most of it by itself; aiohttp makes llhttp lenient, so the default
transport looks at the bytes of a head first (``is_odd``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localagent.errors import UpstreamProtocol

# What aiohttp's parser allows.
MOST_HEADERS = 128
LONGEST = 8190
"""Bytes of a header's name and value together, and of a status line."""

_CONTROLS = bytes({*range(32), 127} - set(b"\t\r\n"))
_SPACE_BEFORE_COLON = re.compile(rb"\n[^:\n]*[ \t]:")
_HEAD_END = b"\r\n\r\n"


def check_head(version: tuple[int, int], status: int, codings: Sequence[str]) -> None:
    """Refuse an answer of another protocol, and one whose end is in doubt.

    Args:
        version: The version of HTTP.
        status: The status.
        codings: The values of all headers ``Transfer-Encoding``.

    Raises:
        UpstreamProtocol: The answer breaks a rule.
    """
    if version not in ((1, 1), (1, 0)) or status < 100 or status == 101:
        raise UpstreamProtocol("The server's answer is of another protocol.", phase="read")
    if codings and ([coding.strip(" \t").lower() for coding in codings] != ["chunked"] or version == (1, 0)):
        raise UpstreamProtocol("The answer has a transfer coding that cannot be read.", phase="read")


def check_size(pairs: Sequence[tuple[bytes, bytes]], size: int) -> None:
    """Refuse too many headers, and too long ones.

    Args:
        pairs: Names and values as they came.
        size: Bytes that all of them take at most.

    Raises:
        UpstreamProtocol: There are too many, or one is too long.
    """
    longest = size > LONGEST and max((len(name) + len(value) for name, value in pairs), default=0)
    if len(pairs) > MOST_HEADERS or longest > LONGEST:
        raise UpstreamProtocol("The answer has too many headers, or too long ones.", phase="read")


def check_reason(reason: bytes) -> None:
    """Refuse a reason phrase that is too long, or holds control characters; errors as in ``check_size``."""
    if len(reason) > LONGEST or len(reason.translate(None, _CONTROLS)) != len(reason):
        raise UpstreamProtocol("The answer's status line is broken.", phase="read")


def is_odd(head: bytes) -> bool:
    """Say whether a head holds what RFC 9112 forbids and lenient parsers pass.

    That is: bare line feeds, folded headers, spaces before a colon, and control characters.

    Args:
        head: The bytes of one or more heads, from the first byte of a status line to a line's end.
    """
    if head.count(b"\n") != head.count(b"\r\n") or b"\n " in head or b"\n\t" in head:
        return True
    if len(head.translate(None, _CONTROLS)) != len(head):
        return True
    return (b" :" in head or b"\t:" in head) and _SPACE_BEFORE_COLON.search(head) is not None


def end_of_heads(data: bytes) -> int:
    """Return where the head of an answer ends, behind those of interim answers; -1 when more of it must come."""
    start = 0
    while (end := data.find(_HEAD_END, start)) >= 0:
        end += len(_HEAD_END)
        if data[start + 9 : start + 10] != b"1":
            return end
        start = end
    return -1
