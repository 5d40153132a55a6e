"""The limit on file descriptors: clients' connections, files and sockets of upstreams share it."""

from __future__ import annotations

import errno
import sys

RESERVED = 48
"""The least number of descriptors kept free of clients' connections; a quarter of the limit if that is more."""
MOST = 4096
"""The default limit on connections if the system's limit is not lower: an idle one takes about 20 kB."""
SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of the system that mean that no further descriptor is available."""


def descriptor_limit() -> int:
    """Return the most descriptors that this process may open; a large number if the system sets no limit."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def connection_limit() -> int:
    """Return the default limit on the connections of clients."""
    return max(1, min(MOST, descriptor_limit() - _reserve()))


def accepted_at_once(most: int) -> int:
    """Return how many connections may be accepted before the first of them is handled.

    The event loop accepts three times before it reports that a connection was made. Each of them needs a descriptor.

    Args:
        most: The upper bound of the result.
    """
    return min(most, _reserve() // 12)


def _reserve() -> int:
    return max(RESERVED, descriptor_limit() // 4)
