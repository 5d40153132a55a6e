"""Rules about the head of an answer, beyond those of llhttp, which is strict where nobody makes it lenient.

llhttp refuses two lengths, a length beside chunks, folded headers, bare line feeds, control characters, and broken
chunk sizes. What it lets pass and must not pass is refused here, with the limits of aiohttp's parser.
"""

from __future__ import annotations

from localagent_connect_fast.headers import Headers

MOST_HEADERS = 128
LONGEST = 8190  # bytes of a name or a value
QUIET = 64 * 1024  # bytes that may come without a byte of a body among them: a head, trailers, chunk extensions
NO_BODY = (204, 304)


class MisframedError(Exception):
    """The answer's head leaves in doubt where the answer ends, or goes beyond a limit."""


def checked(pairs: list[tuple[bytes, bytes]], version: str, status: int, size: int) -> Headers:
    """Return the headers of an answer.

    Args:
        pairs: Names and values as they came.
        version: The version of HTTP.
        status: The status.
        size: Bytes that the head has at most.

    Raises:
        MisframedError: They break a rule.
    """
    if version not in ("1.1", "1.0") or status == 101:
        raise MisframedError("another protocol")
    if len(pairs) > MOST_HEADERS or (size > LONGEST and longest(pairs) > LONGEST):
        raise MisframedError("too many headers, or too long ones")
    headers = Headers(pairs)
    if b"transfer-encoding" in headers.fields:
        codings = [value.lower() for name, value in pairs if name.lower() == b"transfer-encoding"]
        if codings != [b"chunked"] or version == "1.0":
            raise MisframedError("a transfer coding that nobody can read")
    return headers


def longest(pairs: list[tuple[bytes, bytes]]) -> int:
    """Return the bytes of the longest name or value."""
    return max((len(text) for pair in pairs for text in pair), default=0)


def ends_with_connection(headers: Headers, status: int) -> bool:
    """Say whether only the end of the connection ends the body."""
    fields = headers.fields
    return not (b"content-length" in fields or b"transfer-encoding" in fields or status in NO_BODY)
