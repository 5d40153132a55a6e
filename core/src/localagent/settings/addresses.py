"""Which addresses an instance may have.

A key goes wherever the address points, so an address holds nothing that hides where that is, and never points at the
services in which clouds keep the credentials of a machine (link-local addresses and a few names), unless the settings
say that this is meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from localagent.settings.quantities import Reading

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
METADATA_NETWORKS = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
_EXPECTED = 'an address such as "http://10.0.0.5:8000/v1", without user name, password, ? or #'
_PLACE = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Za-z:.%]+\])(:[0-9]+)?")
# No white space, nothing beyond ASCII (a name in another script is written as xn--...), nothing that clients quote.
_CHARACTERS = re.compile(r'[^\x00-\x20\x7f-\U0010ffff\\<>"{}|^`]+')


def read_address(value: object) -> str:
    """Return an address without the slashes at its end.

    Raises:
        ValueError: Not http or https, no host, a user name, password, query or fragment in it, or characters that
            clients read in different ways.
    """
    from urllib.parse import urlsplit

    if not isinstance(value, str) or not _CHARACTERS.fullmatch(value):
        raise ValueError("no text, or characters that do not belong there")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or "?" in value or "#" in value:
        raise ValueError("not http or https, or more than an address")
    if not _PLACE.fullmatch(parts.netloc) or parts.port == 0:
        raise ValueError("no host, no port, or more than these")
    if parts.netloc.startswith("[") and _ip(parts.hostname or "") is None:
        raise ValueError("no IP address in the brackets")
    return value.rstrip("/")


def is_metadata_address(address: str) -> bool:
    """Say whether an address points at a cloud's metadata service or at any other link-local place.

    Looks at what is written, in every spelling that a resolver takes for an IP address; names are not resolved.
    """
    from ipaddress import IPv6Address, ip_network
    from urllib.parse import urlsplit

    host = (urlsplit(address).hostname or "").rstrip(".")
    ip = _ip(host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return host in METADATA_NAMES or (ip is not None and any(ip in ip_network(net) for net in METADATA_NETWORKS))


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a host is, also where it is written as resolvers read it (``0xa9fea9fe``)."""
    import socket
    from ipaddress import IPv4Address, ip_address

    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


Address = Annotated[str, Reading(read_address, _EXPECTED)]
