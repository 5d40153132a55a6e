"""Binds the sockets on which requests come in."""

from __future__ import annotations

import os
import socket

from localagent import StartError
from localagent_gateway.settings import GatewaySettings


def bind(settings: GatewaySettings) -> list[socket.socket]:
    """Return listening sockets for every address of the host, ready to be handed on.

    Raises:
        StartError: The host cannot be resolved, or the port is taken.
    """
    try:
        places = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"The host {settings.host} cannot be resolved: {error.strerror}.",
                         mend="Use --host with an address of this machine.") from None  # fmt: skip
    family, kind, protocol, _, address = places[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(2048)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise StartError(f"Port {settings.port} of {settings.host} cannot be used: {error.strerror}.",
                         mend="Use another one with --port, or 0 to let the system choose.") from None  # fmt: skip
    return [sock]
