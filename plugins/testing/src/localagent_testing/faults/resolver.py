"""A stub of the system's name resolution, because tests cannot make it silent otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

UNKNOWN: Final = "unknown"
SILENT: Final = "silent"
_SILENCE_LIMIT = 60.0


@contextmanager
def stub_resolver(names: Mapping[str, str]) -> Iterator[None]:
    """Answer for some names instead of the system; every other name goes to the system.

    Args:
        names: For each host name an IPv4 address, ``UNKNOWN`` for "no such name", or ``SILENT`` for no answer while
            the stub is active. The mapping may be changed at any time.

    Note:
        It replaces ``socket.getaddrinfo``. Resolvers that do not ask the system are not affected.
    """
    real = socket.getaddrinfo
    over = threading.Event()

    def resolve(host: Any, *args: Any, **named: Any) -> Any:
        given = names.get(host.decode() if isinstance(host, bytes) else host)
        if given is None:
            return real(host, *args, **named)
        if given == SILENT:
            over.wait(_SILENCE_LIMIT)
        if given in (SILENT, UNKNOWN):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(given, *args, **named)

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        over.set()
        socket.getaddrinfo = real
