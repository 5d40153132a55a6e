"""The hosts that may be called and the web pages that may call: protects users from foreign pages in their browser.

A browser asks the server before a web page of another origin may send a request or read an answer: the CORS protocol of
the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol). Pages may not use cookies or other credentials
of the browser: a key is a header, which the page has to know.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from localagent.plugin_api import HttpResponse, HttpStream
from localagent_gateway.errors import WrongPlace
from localagent_gateway.settings import LOOPBACK, GatewaySettings

#: Pages of programs on this machine, which Ollama accepts, too; see AllowedOrigins in its envconfig/config.go.
LOCAL_PAGE = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?|(?:app|file|tauri|vscode-webview|vscode-file)://\S*"
)
DEFAULT_PORTS = {"http": ":80", "https": ":443"}

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
MAX_AGE_SECONDS = 600
HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{1,4096}", re.ASCII)  # a list of tokens (RFC 9110)


async def _no_keys() -> bool:
    return False


class Origins:
    """Decides whether the host and the origin of a request are accepted.

    A page of a foreign site may make a browser send requests to a loopback address, under its own name (``Origin``) or
    under a name that resolves to that address (DNS rebinding: a foreign ``Host``). Both are refused. If keys are
    needed, any host is accepted: a page has no key, so a foreign name does not help it, and a reverse proxy sends its
    own name.

    Pages of programs on this machine may call; which routes they may use without a key is decided elsewhere.

    Args:
        settings: The gateway's settings.
        keys_needed: Returns whether keys are needed now.
    """

    def __init__(self, settings: GatewaySettings, keys_needed: Callable[[], Awaitable[bool]] = _no_keys) -> None:
        self._hosts = LOOPBACK | set(settings.hosts) if settings.host in LOOPBACK else None
        self._origins = {origin.rstrip("/").lower() for origin in settings.origins}
        self._keys_needed = keys_needed
        self._good: set[str] = set()

    def everyday(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request needs no further check: it is for one of our hosts and has no origin."""
        return "origin" not in headers and self._is_ours(headers.get("host", ""))

    async def refusal(self, headers: Mapping[str, str]) -> WrongPlace | None:
        """Return why a request is refused; None if it is accepted."""
        host = headers.get("host", "")
        if not self._is_ours(host) and not await self._keys_needed():
            return WrongPlace("The gateway does not serve this host.", hint="Add it to hosts in [plugins.gateway].")
        origin = headers.get("origin")
        if origin is not None and not self.may_read(origin) and not same_origin(origin, host):
            return WrongPlace("This web page may not call the gateway.", hint="Add it to origins in [plugins.gateway].")
        return None

    def may_read(self, origin: str) -> bool:
        """Return whether pages of another origin may read answers."""
        return self._is_named(origin) or LOCAL_PAGE.fullmatch(origin.lower()) is not None

    def local_page(self, headers: Mapping[str, str]) -> bool:
        """Return whether the caller is a local program's page that is neither in the settings nor of this gateway."""
        origin = headers.get("origin")
        if origin is None or self._is_named(origin) or same_origin(origin, headers.get("host", "")):
            return False
        return LOCAL_PAGE.fullmatch(origin.lower()) is not None

    def _is_named(self, origin: str) -> bool:
        return origin.rstrip("/").lower() in self._origins

    def _is_ours(self, host: str) -> bool:
        if self._hosts is None or host in self._good:
            return True
        name = _name(host)
        if name is None or (host and name not in self._hosts):
            return False
        if len(self._good) < 100:
            self._good.add(host)
        return True


def same_origin(origin: str, host: str) -> bool:
    """Return whether a page came from the host that it calls.

    The host's scheme is unknown behind a TLS proxy: without a port, the default port of the page's scheme counts.

    Args:
        origin: The header ``Origin``.
        host: The header ``Host``; a proxy's ``X-Forwarded-Host`` is not trusted.
    """
    scheme, _, page = origin.lower().partition("://")
    port = DEFAULT_PORTS.get(scheme)
    if port is None or not page:
        return False
    return page.removesuffix(port) == host.lower().removesuffix(port)


def preflight(method: str, headers: Mapping[str, str]) -> HttpResponse | None:
    """Return the answer to a CORS preflight request; None for any other request.

    Args:
        method: The request's method.
        headers: Its headers; the origin has already been accepted.
    """
    if method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
        return None
    allowed = {"access-control-allow-methods": METHODS, "access-control-max-age": str(MAX_AGE_SECONDS)}
    wanted = headers.get("access-control-request-headers", "")
    if HEADER_NAMES.fullmatch(wanted):
        allowed["access-control-allow-headers"] = wanted  # "*" does not include Authorization
    return HttpResponse(204, headers=allowed)


def readable(answer: HttpResponse | HttpStream, origin: str) -> HttpResponse | HttpStream:
    """Return an answer that a page of this origin may read, with all its headers."""
    more = {"access-control-allow-origin": origin, "access-control-expose-headers": "*", "vary": "Origin"}
    return msgspec.structs.replace(answer, headers={**answer.headers, **more})


def _name(host: str) -> str | None:
    """Return the host's name without port and brackets; None when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None
