"""Whether a server is near: on this machine or in its network."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_near(url: str) -> bool:
    """Say whether an address leads to this machine or its network, as far as the address alone tells.

    Args:
        url: The base address; one without a host is a process of our own.
    """
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name without a dot is known here only; the others are reserved for such networks (RFC 6761, 6762, 8375).
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".home.arpa", ".lan"))
    return address.is_private or address.is_loopback or address.is_link_local
