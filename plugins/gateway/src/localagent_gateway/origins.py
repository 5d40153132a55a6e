"""Which hosts may be called and which web pages may call: what keeps a browser from being used against its owner."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from localagent_gateway.settings import LOOPBACK, GatewaySettings


class Origins:
    """The rule.

    A page of a foreign site may make a browser send requests to a loopback address, under its own name (``Origin``) or
    under a name that it resolves to it (DNS rebinding: a foreign ``Host``). Both are refused.

    Args:
        settings: The gateway's settings.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._hosts = LOOPBACK | set(settings.hosts) if settings.host in LOOPBACK else None
        self._origins = {origin.rstrip("/").lower() for origin in settings.origins}
        self._good: set[str] = set()

    def refusal(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return status and reason when a request is refused."""
        host = headers.get("host", "")
        if self._hosts is not None and host not in self._good:
            name = _name(host)
            if name is None or (host and name not in self._hosts):
                return 403, "This host is not served here. Add it to hosts in [plugins.gateway]."
            if len(self._good) < 100:
                self._good.add(host)
        origin = headers.get("origin")
        if origin is not None and not self.may_ask(origin):
            return 403, "This page may not ask here. Add it to origins in [plugins.gateway]."
        return None

    def may_ask(self, origin: str) -> bool:
        """Return whether pages of an origin may call the gateway."""
        return origin.rstrip("/").lower() in self._origins


def _name(host: str) -> str | None:
    """Return the host's name without port and brackets; None when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None
