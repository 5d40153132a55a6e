"""The one place where exceptions of aiohttp become errors of LocalAgent.

The status comes only from an answer's status line. aiohttp reports broken framing as exceptions with ``status=400``;
these are protocol errors.
"""

from __future__ import annotations

import os

import aiohttp
from aiohttp.http_exceptions import BadStatusLine

from localagent import LocalAgentError
from localagent.errors import Advice, ConnectFailed, InternalError, UpstreamProtocol, UpstreamServerError
from localagent_connect_aiohttp.protocol import MisframedError

_BROKE = Advice(next=True, later=True, billed="unknown", breaker="failure")
_STALE = Advice(same=True, next=True, later=True, billed="unknown", stale=True)
_UNBILLED = Advice(next=True, breaker="failure")
_UNSENT = Advice(next=True, breaker="failure", sent=False)
_ENDS = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)
_OUT_OF_FILES = {23, 24, 99}  # ENFILE, EMFILE, EADDRNOTAVAIL


def translated(error: Exception, *, reused: bool = False) -> LocalAgentError:
    """Return the LocalAgent error for a failure before the head of the answer.

    Args:
        error: What aiohttp raised.
        reused: Whether the connection had served an earlier request.
    """
    if isinstance(error, OSError) and error.errno in _OUT_OF_FILES:
        return InternalError("This process has no free file descriptor or port for a connection.",
                             hint="Raise the limit (ulimit -n), or lower pool.limit.")  # fmt: skip
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError | aiohttp.InvalidURL):
        return _unconnected(error)
    if isinstance(error, aiohttp.ClientResponseError):
        advice = _UNBILLED if _is_no_http(error.__cause__) else None
        return UpstreamProtocol("The server's answer is not HTTP.", phase="read", advice=advice)
    if partial(error):
        return UpstreamProtocol("The connection ended in the middle of the answer's headers.", phase="read",
                                advice=_BROKE)  # fmt: skip
    if reused and isinstance(error, _ENDS):
        return UpstreamServerError("The server closed a kept-alive connection without an answer.", phase="read",
                                   advice=_STALE)  # fmt: skip
    return broken(error)


def _unconnected(error: Exception) -> LocalAgentError:
    """Return the error for a connection that could not be opened."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ConnectFailed("The TLS handshake failed: the server's certificate was not accepted.", phase="tls",
                             hint="If a private authority issued it, set authority of the provider.")  # fmt: skip
    if isinstance(error, aiohttp.ClientSSLError):
        return UpstreamProtocol("The server does not speak TLS.", phase="tls", advice=_UNSENT,
                                hint="Check whether the url should begin with http://.")  # fmt: skip
    if isinstance(error, aiohttp.ClientConnectorDNSError | aiohttp.InvalidURL):
        return ConnectFailed("The server's name cannot be resolved.", phase="dns",
                             hint="Check the host in the provider's url.")  # fmt: skip
    reason = _reason(error) if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__
    return ConnectFailed(f"The connection failed: {reason}.", phase="connect",
                         hint="Is the server running? See: localagent doctor")  # fmt: skip


def broken(error: Exception) -> LocalAgentError:
    """Return the LocalAgent error for a failure on an open connection."""
    if isinstance(error, _ENDS):
        return UpstreamServerError("The server closed the connection without a complete answer.", phase="read",
                                   advice=_BROKE)  # fmt: skip
    if isinstance(error, MisframedError):
        return UpstreamProtocol("The framing of the answer's body is broken.", phase="read")
    if isinstance(error, aiohttp.ClientPayloadError):
        return UpstreamServerError("The answer was cut short.", phase="read", advice=_BROKE)
    return UpstreamProtocol(f"The server's answer is not HTTP ({type(error).__name__}).", phase="read")


def partial(error: Exception) -> bool:
    """Whether a connection ended within the head of an answer: aiohttp then passes on the part it received."""
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


def _is_no_http(cause: BaseException | None) -> bool:
    """Whether the very first bytes were not HTTP, so that no model has done any work."""
    return isinstance(cause, BadStatusLine) or "Expected HTTP/" in str(cause)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno
    return os.strerror(number).lower() if number else "no address answered"
