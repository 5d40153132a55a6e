"""The server that a request is sent to, and which addresses the transport supports."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from localagent.errors import SettingsError

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Origin(NamedTuple):
    """The server of a connection."""

    host: str
    port: int
    tls: bool


def is_spoken(url: str) -> bool:
    """Return whether the transport supports an address: http or https, a host in ASCII, no user name."""
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
        SettingsError: It contains characters that HTTP forbids.
    """
    if not _PRINTABLE.fullmatch(url):
        raise forbidden()
    return urlsplit(url)


def origin_of(parts: SplitResult) -> Origin:
    """Return the server of an address.

    Raises:
        SettingsError: It is neither http nor https, or contains a user name.
    """
    if parts.scheme not in ("http", "https") or parts.username is not None or not parts.hostname:
        raise SettingsError("The address of the request must be http or https, without a user name.")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, parts.port or (443 if tls else 80), tls)


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host as an IP address; None if it is a name, or an address with a zone."""
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def forbidden() -> SettingsError:
    """Return the error for characters that HTTP forbids; the message does not contain them."""
    return SettingsError("A header or the address of the request contains characters that HTTP forbids.",
                         hint="Check the keys and headers of the provider for line breaks.")  # fmt: skip
