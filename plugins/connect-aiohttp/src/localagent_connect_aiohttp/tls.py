"""Whom to trust: TLS contexts of PEM files, made again when a file changes."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TypeAlias

from localagent.errors import SettingsError

_Stamp: TypeAlias = tuple[int, int, int, int, int]

_made: dict[Path, tuple[_Stamp, ssl.SSLContext]] = {}


def tls_context(authority: Path) -> ssl.SSLContext:
    """Return the context that trusts the authorities of a PEM file as it is now, and nobody else.

    As long as the file does not change it is the same context. Looking costs one ``stat``, so ask for every connection.

    Raises:
        SettingsError: The file cannot be read, or holds no certificate.
    """
    try:
        stamp = _stamp(authority)
        known = _made.get(authority)
        if known is not None and known[0] == stamp:
            return known[1]
        context = ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"The certificate authorities in {authority} cannot be read: {error.strerror or error}.",
                            hint="Name a PEM file.") from None  # fmt: skip
    context.set_alpn_protocols(["http/1.1"])
    _made[authority] = stamp, context
    return context


def _stamp(file: Path) -> _Stamp:
    """Return what changes with the content of a file, also where another one takes its place."""
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
