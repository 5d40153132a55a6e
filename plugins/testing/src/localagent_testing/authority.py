"""A temporary certificate authority, for servers that should be trusted and servers that should not.

Needs ``trustme``, which is imported when a certificate is requested.
"""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

__all__ = ["Authority"]

HOSTS = ("127.0.0.1", "localhost")
LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class Authority:
    """A certificate authority that exists for one test; every certificate is for 127.0.0.1 and localhost."""

    @cached_property
    def _ca(self) -> trustme.CA:
        import trustme

        return trustme.CA()

    @contextmanager
    def file(self) -> Iterator[Path]:
        """Yield a PEM file with the authority's certificate, for clients that should trust it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "authority.pem")
            self._ca.cert_pem.write_to_path(str(path))
            yield path

    def client(self) -> ssl.SSLContext:
        """Return a client's context that trusts only this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def good(self) -> ssl.SSLContext:
        """Return a server's context with a valid certificate."""
        return _server(self._ca.issue_cert(*HOSTS))

    def expired(self) -> ssl.SSLContext:
        """Return a server's context with a certificate that expired long ago."""
        return _server(self._ca.issue_cert(*HOSTS, not_before=LONG_AGO, not_after=LONG_AGO.replace(year=2001)))

    def wrong_host(self) -> ssl.SSLContext:
        """Return a server's context with a certificate for another host."""
        return _server(self._ca.issue_cert("elsewhere.example"))

    def stranger(self) -> ssl.SSLContext:
        """Return a server's context with a certificate of another, unknown authority."""
        return Authority().good()

    def self_signed(self) -> ssl.SSLContext:
        """Return a server's context with a self-signed certificate."""
        import trustme

        own = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as certificate:
            context.load_cert_chain(certificate, key)
        return context


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
