"""Rules about the head of an answer, beyond those of llhttp, which is strict by default.

llhttp refuses two lengths, a length together with chunks, folded headers, bare line feeds, control characters, and
broken chunk sizes. The other cases are refused here, by the rules and limits of the default transport.
"""

from __future__ import annotations

from localagent_connect_aiohttp import check_head, check_size
from localagent_connect_fast.headers import Headers

QUIET = 1024 * 1024  # bytes that may arrive without a byte of a body: a head, trailers, chunk extensions
NO_BODY = (204, 304)
VERSIONS = {"1.1": (1, 1), "1.0": (1, 0)}

Pairs = list[tuple[bytes, bytes]]


def checked(pairs: Pairs, version: str, status: int, size: int) -> Headers:
    """Return the headers of an answer.

    Args:
        pairs: Names and values as received.
        version: The HTTP version.
        status: The status.
        size: The most bytes that the head can have.

    Raises:
        UpstreamProtocol: The headers break a rule.
    """
    check_size(pairs, size)
    headers = Headers(pairs)
    codings = values(pairs, b"transfer-encoding") if b"transfer-encoding" in headers.fields else []
    check_head(VERSIONS.get(version, (0, 0)), status, codings)
    return headers


def values(pairs: Pairs, wanted: bytes) -> list[str]:
    """Return the values of all headers with a name, which is given in lower case."""
    return [value.decode("latin-1") for name, value in pairs if name.lower() == wanted]


def ends_with_connection(headers: Headers, status: int) -> bool:
    """Return whether only the end of the connection ends the body."""
    fields = headers.fields
    return not (b"content-length" in fields or b"transfer-encoding" in fields or status in NO_BODY)
