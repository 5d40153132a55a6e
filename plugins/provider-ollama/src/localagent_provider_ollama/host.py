"""``OLLAMA_HOST``: where Ollama's own tools look for the server."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

VARIABLE = "OLLAMA_HOST"
DEFAULT_PORT = 11434
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"

_PORTS = {"http": 80, "https": 443}
# A server that listens at every address is reached at the loopback address.
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def host_url(value: str) -> str:
    """Return the address for a value of ``OLLAMA_HOST``, read as Ollama reads it.

    Any part may be missing: ``host``, ``:port``, ``host:port``, ``scheme://host``, each with or without a path. With a
    scheme the default port is 80 or 443, without one 11434. A port that is not a number from 0 to 65535 counts as
    missing (``envconfig.Host`` in Ollama's sources).

    Args:
        value: The value; blanks and quotes around it are removed.
    """
    text = value.strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    default_port = _PORTS.get(scheme, DEFAULT_PORT) if separator else DEFAULT_PORT
    parts = urlsplit(f"{scheme}://{_bracketed(rest)}")
    host = parts.hostname or ""
    host = _EVERYWHERE.get(host, host)
    place = f"[{host}]" if ":" in host else host
    return f"{scheme}://{place}:{_port(parts, default_port)}{parts.path.rstrip('/')}"


def _bracketed(rest: str) -> str:
    """Return a bare IPv6 address in brackets, anything else unchanged."""
    host, slash, path = rest.partition("/")
    return f"[{host}]{slash}{path}" if host.count(":") > 1 and not host.startswith("[") else rest


def _port(parts: SplitResult, default: int) -> int:
    try:
        return default if parts.port is None else parts.port
    except ValueError:
        return default
