"""Where a request goes, and which addresses the transport speaks to."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from localagent.errors import SettingsError

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Origin(NamedTuple):
    """What a connection leads to."""

    host: str
    port: int
    tls: bool


def is_spoken(url: str) -> bool:
    """Say whether the transport speaks to an address: http or https, a host in ASCII, no user name."""
    if not _PRINTABLE.fullmatch(url):
        return False
    try:
        origin_of(urlsplit(url))
    except (SettingsError, ValueError):
        return False
    return True


def split(url: str) -> SplitResult:
    """Split an address.

    Raises:
        SettingsError: It holds characters that HTTP forbids.
    """
    if not _PRINTABLE.fullmatch(url):
        raise forbidden()
    return urlsplit(url)


def origin_of(parts: SplitResult) -> Origin:
    """Return where an address leads to.

    Raises:
        SettingsError: It is none of http and https, or holds a user name.
    """
    if parts.scheme not in ("http", "https") or parts.username is not None or not parts.hostname:
        raise SettingsError("The address of the request is not plain http or https.")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, parts.port or (443 if tls else 80), tls)


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host is; None for a name, and for one with a zone."""
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def forbidden() -> SettingsError:
    """Return the error for characters that HTTP forbids; it does not show them."""
    return SettingsError("A header or the address of the request holds characters that HTTP forbids.",
                         hint="Check the keys and headers of the provider for line breaks.")  # fmt: skip
