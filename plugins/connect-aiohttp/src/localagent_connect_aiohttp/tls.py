"""TLS contexts that trust the authorities of a PEM file, created again when the file changes."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TypeAlias

from localagent.errors import SettingsError

_Stamp: TypeAlias = tuple[int, int, int, int, int]

_made: dict[Path, tuple[_Stamp, ssl.SSLContext]] = {}


def tls_context(authority: Path) -> ssl.SSLContext:
    """Return a context that trusts the authorities in the current content of a PEM file, and no others.

    The same context is returned until the file changes. A check costs one ``stat``, so call this for every connection.

    Raises:
        SettingsError: The file cannot be read, or contains no certificate.
    """
    try:
        stamp = _stamp(authority)
        known = _made.get(authority)
        if known is not None and known[0] == stamp:
            return known[1]
        context = ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"The certificate authorities in {authority} cannot be read: {error.strerror or error}.",
                            hint="Set authority to a PEM file.") from None  # fmt: skip
    context.set_alpn_protocols(["http/1.1"])
    _made[authority] = stamp, context
    return context


def _stamp(file: Path) -> _Stamp:
    """Return values that change with the content of a file, also when another file replaces it."""
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
