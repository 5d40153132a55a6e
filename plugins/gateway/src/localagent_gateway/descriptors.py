"""How many descriptors the system lets this process have: connections, files and sockets of upstreams share them."""

from __future__ import annotations

import errno
import sys

RESERVED = 48
"""Descriptors that clients leave to all else, at least; where there are many, a quarter."""
MOST = 4096
"""Connections by default where the system sets no lower limit: an idle one takes about 20 kB."""
SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of the system that say that there is no room for one more."""


def descriptor_limit() -> int:
    """Return the most descriptors of this process; a large number where the system does not say."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def connection_limit() -> int:
    """Return how many connections clients may have by default."""
    return max(1, min(MOST, descriptor_limit() - _reserve()))


def accepted_at_once(most: int) -> int:
    """Return how many connections may be accepted before the first of them is looked at.

    The event loop accepts three times before it says that a connection was made: none of them may find no descriptor.

    Args:
        most: More than these need not be accepted at once.
    """
    return min(most, _reserve() // 12)


def _reserve() -> int:
    return max(RESERVED, descriptor_limit() // 4)
