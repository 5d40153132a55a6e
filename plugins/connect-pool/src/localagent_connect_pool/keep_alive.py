"""What servers say of how long they keep connections."""

from __future__ import annotations

import re

MARGIN = 1.0
"""Seconds that a connection is given up before the server closes it; Node's agent has the same buffer."""

_TIMEOUT = re.compile(r"(?:^|[,\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


def kept_for(header: str) -> float | None:
    """Return for how many seconds a connection may stay idle, given a ``Keep-Alive`` header (RFC 2068, 19.7.1.1).

    That is a second less than the server says, so that it does not close what a request has just been sent over.

    Args:
        header: Such as ``timeout=5, max=100``.

    Returns:
        Seconds; None when the header says nothing of time.
    """
    found = _TIMEOUT.search(header)
    if found is None:
        return None
    seconds = float(found[1])
    return seconds - MARGIN if seconds >= 2 * MARGIN else seconds / 2
