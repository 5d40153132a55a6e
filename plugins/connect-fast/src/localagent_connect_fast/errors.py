"""The errors of connections; they are the same as those of the default transport."""

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
    """Return the error for a connection that could not be opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectFailed("The TLS handshake failed: the server's certificate was not accepted.", phase="tls",
                             hint="If a private authority issued it, set authority of the provider.")  # fmt: skip
    if isinstance(error, ssl.SSLError):
        return UpstreamProtocol("The server does not speak TLS.", phase="tls", advice=_UNSENT,
                                hint="Check whether the url should begin with http://.")  # fmt: skip
    if isinstance(error, socket.gaierror | UnicodeError):
        return ConnectFailed("The server's name cannot be resolved.", phase="dns",
                             hint="Check the host in the provider's url.")  # fmt: skip
    number = error.errno if isinstance(error, OSError) else None
    if number in _OUT_OF_FILES:
        return InternalError("This process has no free file descriptor or port for a connection.",
                             hint="Raise the limit (ulimit -n), or lower pool.limit.")  # fmt: skip
    reason = os.strerror(number).lower() if number else "no address answered"
    return ConnectFailed(f"The connection failed: {reason}.", phase="connect",
                         hint="Is the server running? See: localagent doctor")  # fmt: skip


def closed(*, stale: bool = False) -> UpstreamServerError:
    """Return the error for a connection that ended before the head of an answer; ``stale`` if it was a kept one."""
    if stale:
        return UpstreamServerError("The server closed a kept-alive connection without an answer.", phase="read",
                                   advice=_STALE)  # fmt: skip
    return UpstreamServerError("The server closed the connection without a complete answer.", phase="read",
                               advice=_BROKE)  # fmt: skip


def cut_head() -> UpstreamProtocol:
    """Return the error for a connection that ended within the head of an answer."""
    return UpstreamProtocol("The connection ended in the middle of the answer's headers.", phase="read", advice=_BROKE)


def cut_body() -> UpstreamServerError:
    """Return the error for a connection that ended within a body."""
    return UpstreamServerError("The answer was cut short.", phase="read", advice=_BROKE)


def no_http(*, begun: bool) -> UpstreamProtocol:
    """Return the error for an answer that is not HTTP; if it did not begin like HTTP, no model has worked."""
    return UpstreamProtocol("The server's answer is not HTTP.", phase="read", advice=None if begun else _UNBILLED)


def aborted() -> UpstreamServerError:
    """Return the error for the reader of an aborted answer."""
    return UpstreamServerError(
        "The connection was closed by the client before the answer ended.", phase="read", advice=_BROKE
    )
