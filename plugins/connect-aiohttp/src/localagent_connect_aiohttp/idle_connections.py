"""Idle connections: whether one may still be used, and how long one is kept."""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import Mapping

MARGIN = 1.0
"""Seconds by which a connection is dropped before the server closes it; Node's agent has the same buffer."""

CLOSES_AFTER_STREAMS = frozenset({"llama.cpp"})
"""Servers, by their ``Server`` header, that close the connection after a streamed answer without announcing it.

llama.cpp's server does so 0.1 ms after the last chunk; the next request may be sent within that time.
"""

_TIMEOUT = re.compile(r"(?:^|[,\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


def is_stale(transport: asyncio.BaseTransport | None) -> bool:
    """Return whether an idle connection must not be used: it is closed, or its socket has unread data.

    Unread data means that the server closed the connection (the end of a stream is readable) or sent bytes that nobody
    requested. The event loop may not have noticed yet, so this asks the operating system, which takes about two
    microseconds. Call it before the first byte of a request is written; the server cannot have begun to work on it.

    Args:
        transport: The connection.
    """
    if transport is None or transport.is_closing():
        return True
    sock = transport.get_extra_info("socket")
    return sock is None or _is_readable(sock.fileno())


def _is_readable(descriptor: int) -> bool:
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def kept_for(header: str) -> float | None:
    """Return for how many seconds a connection may stay idle, given a ``Keep-Alive`` header (RFC 2068, 19.7.1.1).

    That is a second less than the server's value, so that the server does not close a connection just as it is used.

    Args:
        header: Such as ``timeout=5, max=100``.

    Returns:
        Seconds; None when the header has no timeout.
    """
    found = _TIMEOUT.search(header)
    if found is None:
        return None
    seconds = float(found[1])
    return seconds - MARGIN if seconds >= 2 * MARGIN else seconds / 2


def ends_after_stream(headers: Mapping[str, str]) -> bool:
    """Return whether the server will close the connection after this answer without announcing it.

    Args:
        headers: The answer's headers, with case-insensitive names.
    """
    return headers.get("Server") in CLOSES_AFTER_STREAMS and "Transfer-Encoding" in headers
