"""Opens connections: names, addresses, TLS."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from aiohappyeyeballs import start_connection

from localagent.timing import PhaseTimer
from localagent_connect_fast.origins import Origin
from localagent_connect_fast.resolving import Addresses, Resolver

if TYPE_CHECKING:
    P = TypeVar("P", bound=asyncio.BaseProtocol)

NEXT_ADDRESS = 0.25  # seconds until a second address is tried in parallel; RFC 8305, section 5


@functools.cache
def system_tls() -> ssl.SSLContext:
    """Return the context that trusts the system's authorities; a provider that names a file has its own."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def connect(
    origin: Origin, resolver: Resolver, tls: ssl.SSLContext | None, make: Callable[[], P], phases: PhaseTimer
) -> P:
    """Open a connection; all addresses of the name are tried.

    Args:
        origin: The server to connect to.
        resolver: Resolves names.
        tls: The TLS context; None for a plain connection.
        make: Creates the protocol.
        phases: Notified when a name is being resolved.

    Raises:
        OSError: The connection could not be opened.
    """
    sock = await _connected(origin, resolver, phases)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # so that a vanished peer is noticed eventually
    name = origin.host.rstrip(".") if tls is not None else None
    _, protocol = await asyncio.get_running_loop().create_connection(make, sock=sock, ssl=tls, server_hostname=name)
    return protocol


async def _connected(origin: Origin, resolver: Resolver, phases: PhaseTimer) -> socket.socket:
    addresses = resolver.known(origin.host, origin.port)
    if addresses is None:
        return await _first_of(await _resolve(origin, resolver, phases))
    try:
        return await _first_of(addresses)
    except OSError:
        if not resolver.forget(origin.host, origin.port):
            raise
        again = await _resolve(origin, resolver, phases)
        if again == addresses:
            raise
        return await _first_of(again)


async def _first_of(addresses: Addresses) -> socket.socket:
    try:
        return await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)
    except RuntimeError as error:  # how uvloop reports that a socket cannot be used
        raise OSError(str(error)) from None


async def _resolve(origin: Origin, resolver: Resolver, phases: PhaseTimer) -> Addresses:
    phases.phase = "dns"
    try:
        return await resolver.resolve(origin.host, origin.port)
    finally:
        phases.phase = "connect"
