"""The address of the server. An invalid address is never shown, because it may contain a password."""

from __future__ import annotations

import re
from typing import ClassVar, Self
from urllib.parse import SplitResult, urlsplit

import attrs

from localagent.errors import SettingsError

PLAIN, TLS = frozenset({"redis", "valkey"}), frozenset({"rediss", "valkeys"})
PORT = 6379
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_DATABASE = re.compile(r"/?|/[0-9]{1,5}")


@attrs.frozen
class ServerAddress:
    """The address of a server: ``redis://HOST:PORT/DATABASE``, or ``rediss://`` for TLS.

    Attributes:
        host: Its name or IP address.
        port: Its port.
        database: The number of the database.
        tls: Whether the connection uses TLS.
    """

    expected_settings: ClassVar[str] = 'an address such as "redis://10.0.0.9:6379" or "rediss://cache.example:6380/1"'

    host: str
    port: int = PORT
    database: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def from_settings(cls, value: object, place: object) -> Self:
        """Read an address.

        Args:
            value: The value in the settings.
            place: Its place; as text it names file and key.

        Raises:
            SettingsError: It is not an address, or it contains a user name or a password.
        """
        if isinstance(value, cls):
            return value
        parts = _split(value)
        if parts is not None and "@" in parts.netloc:
            hint = 'Write user = "NAME" and password = { env = "VARIABLE" } instead.'
            raise SettingsError(f"{place}: expected an address without user name and password.", hint=hint)
        if parts is None or not _is_address(parts):
            raise SettingsError(f"{place}: expected {cls.expected_settings}.")
        database = int(parts.path[1:] or 0)
        return cls(parts.hostname or "", parts.port or PORT, database, parts.scheme in TLS)


def _split(value: object) -> SplitResult | None:
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
        return parts if parts.port != 0 else None
    except ValueError:  # an invalid port number or invalid brackets
        return None


def _is_address(parts: SplitResult) -> bool:
    return bool(
        parts.scheme in PLAIN | TLS
        and _HOST.fullmatch(parts.hostname or "")
        and _DATABASE.fullmatch(parts.path)
        and not (parts.query or parts.fragment)
    )
