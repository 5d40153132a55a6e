"""The heads of requests: built once, because they differ between requests only in the body's length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult

from localagent.errors import SettingsError
from localagent_connect_fast.origins import Origin, forbidden, origin_of, split

KEPT = 256
DEFAULTS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "localagent"}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Only the transport decides how a message is delimited: if two headers disagree, requests can be smuggled.
_FRAMING = frozenset({"content-length", "transfer-encoding", "upgrade"})


class Head:
    """The head of requests with the same method, address and headers.

    Attributes:
        origin: The server that they are sent to.
        headers: The headers as given.
        start: The part of the head that does not depend on the body.
        bare: The complete head of a request without a body.
    """

    __slots__ = ("bare", "headers", "origin", "start")

    def __init__(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        parts = split(url)
        self.origin: Origin = origin_of(parts)
        self.headers = dict(headers)
        lines = [f"{method} {_target(parts)} HTTP/1.1", f"Host: {_host(parts)}", *_lines(self.headers)]
        self.start = ("\r\n".join(lines) + "\r\n").encode()
        self.bare = self.start + (b"\r\n" if method == "GET" else b"Content-Length: 0\r\n\r\n")


class Heads:
    """A cache of heads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Head] = {}

    def get(self, method: str, url: str, headers: Mapping[str, str]) -> Head:
        """Return the head of a request.

        Raises:
            SettingsError: The address or a header contains something that HTTP forbids.
        """
        head = self._known.get((method, url))
        # Compared by content: the caller may have changed the headers since.
        if head is None or head.headers != headers:
            if len(self._known) >= KEPT:
                self._known.clear()
            head = self._known[method, url] = Head(method, url, headers)
        return head


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _host(parts: SplitResult) -> str:
    """Return the host and port of the address, without the scheme's default port."""
    default = ":443" if parts.scheme == "https" else ":80"
    return parts.netloc.removesuffix(default)


def _lines(headers: Mapping[str, str]) -> list[str]:
    given = {name.lower() for name in headers}
    lines = [f"{name}: {value}" for name, value in DEFAULTS.items() if name.lower() not in given]
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or _FORBIDDEN.search(value):
            raise forbidden()
        if name.lower() in _FRAMING:
            raise SettingsError(f"The header {name} is set by the transport and must not be in the request.",
                                hint="Remove it from the provider's headers.")  # fmt: skip
        if name.lower() != "host":
            lines.append(f"{name}: {value}")
    return lines
