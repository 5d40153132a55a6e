"""Which hosts may be called and which web pages may call: what keeps a browser from being used against its owner.

Browsers ask before a web page of another origin may send a request or read an answer: the CORS protocol of the Fetch
standard (https://fetch.spec.whatwg.org/#http-cors-protocol). Pages are not let use cookies or other credentials of the
browser: a key is a header, which the page has to know.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from localagent.plugin_api import HttpResponse, HttpStream
from localagent_gateway.errors import WrongPlace
from localagent_gateway.settings import LOOPBACK, GatewaySettings

# Programs on this machine whose pages Ollama lets ask, too; see AllowedOrigins in its envconfig/config.go.
LOCAL_PAGE = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?|(?:app|file|tauri|vscode-webview|vscode-file)://\S*"
)
DEFAULT_PORTS = {"http": ":80", "https": ":443"}

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
MAX_AGE_SECONDS = 600
HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{1,4096}", re.ASCII)  # tokens of RFC 9110 in a list


async def _no_keys() -> bool:
    return False


class Origins:
    """The rule.

    A page of a foreign site may make a browser send requests to a loopback address, under its own name (``Origin``) or
    under a name that it resolves to it (DNS rebinding: a foreign ``Host``). Both are refused. Where keys are needed the
    host may be any: a page has no key, so a foreign name gives it nothing, and a reverse proxy passes its own name on.

    Pages of programs on this machine may ask; what they may ask for without a key is up to those who answer.

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
        """Return whether a request needs no closer look: it is for one of our hosts and comes from no page."""
        return "origin" not in headers and self._is_ours(headers.get("host", ""))

    async def refusal(self, headers: Mapping[str, str]) -> WrongPlace | None:
        """Return why a request is refused; None for one that is not."""
        host = headers.get("host", "")
        if not self._is_ours(host) and not await self._keys_needed():
            return WrongPlace("This host is not served here.", hint="Add it to hosts in [plugins.gateway].")
        origin = headers.get("origin")
        if origin is not None and not self.may_read(origin) and not same_origin(origin, host):
            return WrongPlace("This page may not ask here.", hint="Add it to origins in [plugins.gateway].")
        return None

    def may_read(self, origin: str) -> bool:
        """Return whether browsers let pages of another origin read what they asked for."""
        return self._is_named(origin) or LOCAL_PAGE.fullmatch(origin.lower()) is not None

    def local_page(self, headers: Mapping[str, str]) -> bool:
        """Return whether a page of a program on this machine asks that neither the settings name nor we have sent."""
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
    """Return whether a page came from the host that it asks.

    The host's scheme is unknown behind a proxy that speaks TLS: what has no port has the default one of the page's.

    Args:
        origin: The header ``Origin``.
        host: The header ``Host``; what a proxy says beside it (``X-Forwarded-Host``) is not believed.
    """
    scheme, _, page = origin.lower().partition("://")
    port = DEFAULT_PORTS.get(scheme)
    if port is None or not page:
        return False
    return page.removesuffix(port) == host.lower().removesuffix(port)


def preflight(method: str, headers: Mapping[str, str]) -> HttpResponse | None:
    """Return the answer to a browser that asks before it asks; None for any other request.

    Args:
        method: The request's method.
        headers: Its headers; it comes from an origin that may ask.
    """
    if method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
        return None
    allowed = {"access-control-allow-methods": METHODS, "access-control-max-age": str(MAX_AGE_SECONDS)}
    wanted = headers.get("access-control-request-headers", "")
    if HEADER_NAMES.fullmatch(wanted):
        allowed["access-control-allow-headers"] = wanted  # "*" would leave out Authorization
    return HttpResponse(204, headers=allowed)


def readable(answer: HttpResponse | HttpStream, origin: str) -> HttpResponse | HttpStream:
    """Return an answer that the browser lets a page of this origin read, with all its headers."""
    more = {"access-control-allow-origin": origin, "access-control-expose-headers": "*", "vary": "Origin"}
    return msgspec.structs.replace(answer, headers={**answer.headers, **more})


def _name(host: str) -> str | None:
    """Return the host's name without port and brackets; None when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None
