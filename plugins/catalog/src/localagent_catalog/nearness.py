"""Decides whether a server is near: on this machine or in its network."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_near(url: str) -> bool:
    """Return whether an address is on this machine or in its network, judging only by the address.

    Args:
        url: The base address; without a host, it is a process that LocalAgent runs itself.
    """
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name without a dot is local; the other names are reserved for local networks (RFC 6761, 6762, 8375).
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".home.arpa", ".lan"))
    return address.is_private or address.is_loopback or address.is_link_local
