"""What becomes of whatever goes wrong on a connection: the same errors as those of the core's own transport."""

from __future__ import annotations

import os
import socket
import ssl

from localagent import LocalAgentError
from localagent.errors import Advice, ConnectFailed, InternalError, UpstreamProtocol, UpstreamServerError

_BROKE = Advice(next=True, later=True, billed="unknown", breaker="failure")
_STALE = Advice(same=True, next=True, later=True, billed="unknown", stale=True)
_UNBILLED = Advice(next=True, breaker="failure")
_UNSENT = Advice(next=True, breaker="failure", sent=False)
_OUT_OF_FILES = {23, 24, 99}  # ENFILE, EMFILE, EADDRNOTAVAIL


def unconnected(error: Exception) -> LocalAgentError:
    """Return the error of a connection that was not made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectFailed("TLS could not be agreed: the server's certificate was not accepted.", phase="tls",
                             hint="Set authority of the provider, if a private authority made it.")  # fmt: skip
    if isinstance(error, ssl.SSLError):
        return UpstreamProtocol("The server does not speak TLS.", phase="tls", advice=_UNSENT,
                                hint="Check https in the url.")  # fmt: skip
    if isinstance(error, socket.gaierror | UnicodeError):
        return ConnectFailed("The server's name cannot be resolved.", phase="dns",
                             hint="Check the url in the settings.")  # fmt: skip
    number = error.errno if isinstance(error, OSError) else None
    if number in _OUT_OF_FILES:
        return InternalError("This process has no file descriptor or port left for a connection.",
                             hint="Raise the limit (ulimit -n), or lower pool.limit.")  # fmt: skip
    reason = os.strerror(number).lower() if number else "no address answered"
    return ConnectFailed(f"No connection: {reason}.", phase="connect",
                         hint="Is the server running? See: localagent doctor")  # fmt: skip


def closed(*, stale: bool = False) -> UpstreamServerError:
    """Return the error of a connection that ended before the head of an answer; ``stale`` if it was a kept one."""
    if stale:
        return UpstreamServerError("The server closed a kept connection without an answer.", phase="read",
                                   advice=_STALE)  # fmt: skip
    return UpstreamServerError("The server closed the connection without a complete answer.", phase="read",
                               advice=_BROKE)  # fmt: skip


def cut_head() -> UpstreamProtocol:
    """Return the error of a connection that ended within the head of an answer."""
    return UpstreamProtocol("The connection ended within the head of the answer.", phase="read", advice=_BROKE)


def cut_body() -> UpstreamServerError:
    """Return the error of a connection that ended within a body."""
    return UpstreamServerError("The answer was cut short.", phase="read", advice=_BROKE)


def no_http(*, begun: bool) -> UpstreamProtocol:
    """Return the error of an answer that is not HTTP; unless it had ``begun`` like HTTP no model has worked."""
    return UpstreamProtocol("The server's answer is not HTTP.", phase="read", advice=None if begun else _UNBILLED)


def aborted() -> UpstreamServerError:
    """Return the error for the reader of an answer that was given up."""
    return UpstreamServerError("The connection was closed here, before the answer's end.", phase="read", advice=_BROKE)
