"""Binds the sockets on which the gateway listens."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Any

from localagent.errors import StartError
from localagent_gateway.settings import LOOPBACK, GatewaySettings

TRIES = 10  # with port 0: the port that the system chose for one address may be in use on another
#: Errors for an address that this machine does not have: IPv6 is switched off, or it belongs to another machine.
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

Place = tuple[socket.AddressFamily, tuple[Any, ...]]


def bind(settings: GatewaySettings) -> list[socket.socket]:
    """Return listening sockets for every address of the host, all with the same port, ready to pass on to workers.

    An address that the host's name has but this machine does not have is skipped, as long as another one exists.

    Raises:
        StartError: The host cannot be resolved, this machine has none of its addresses, or the port is in use.
    """
    places = _places(settings)
    for last in [False] * (TRIES - 1) + [True]:
        try:
            return _bound(places, settings.port)
        except OSError as error:
            if last or settings.port or error.errno != errno.EADDRINUSE:
                raise StartError(
                    f"Port {settings.port} of {settings.host} cannot be used: {error.strerror}.",
                    hint="Use another one with --port, or 0 to let the system choose.",
                ) from None
    raise AssertionError


def _places(settings: GatewaySettings) -> list[Place]:
    """Return the addresses of the host, each once, in the resolver's order."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(
            f"The host {settings.host} cannot be resolved: {error.strerror}.",
            hint="Use --host with an address of this machine.",
        ) from None
    places = dict.fromkeys((family, tuple(address)) for family, _, _, _, address in found)
    if settings.host in LOOPBACK:  # whatever the resolver returns: without keys no other machine may call
        return [place for place in places if _is_loopback(str(place[1][0]))]
    return list(places)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _bound(places: list[Place], port: int) -> list[socket.socket]:
    """Return a socket for each address that this machine has.

    Raises:
        OSError: This machine has none of them, or the port is in use on one of them.
    """
    sockets: list[socket.socket] = []
    absent = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    try:
        for family, (host, _, *scope) in places:
            try:
                sockets.append(_listening(family, (host, port, *scope)))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
            else:
                port = sockets[-1].getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise absent
    return sockets


def _listening(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # IPv4 has its own socket, or was not requested
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(2048)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
