"""The settings of cache-valkey."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs

from localagent import Bytes, Count, PositiveSeconds, SecretRef
from localagent_valkey.address import ServerAddress

SHORTEST, LONGEST = 0.001, 10 * 365 * 86_400.0  # the server accepts a time to live from a millisecond
_PREFIX = re.compile(r"[\x21-\x7e]{1,128}")


def _check_ttl(settings: Any, attribute: Any, ttl: float) -> None:
    if not SHORTEST <= ttl <= LONGEST:
        raise ValueError("ttl must be from 1 ms to 3650 d")


def _check_prefix(settings: Any, attribute: Any, prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("prefix must be 1 to 128 ASCII characters without white space")


def _check_user(settings: Any, attribute: Any, user: str) -> None:
    if user and settings.password is None:
        raise ValueError("user needs a password, too")


@attrs.frozen
class ValkeyCacheSettings:
    """``[plugins.cache-valkey]``: the server, the entries on it, and its timeouts.

    Attributes:
        url: The address of the server. Without it the plugin does nothing; it does not probe any port on its own.
        password: A reference to the password.
        user: The user name for the password, on servers with users.
        ca_file: A PEM file with the certificate authorities to trust for the server; None means the system's.
        prefix: The beginning of the names of all keys.
        ttl: Seconds until the server deletes an answer.
        budget: The timeout of an operation in seconds, including the wait for a connection.
        pause: Seconds for which a server that failed three times in a row is not asked.
        pool_size: The maximum number of connections.
        compress_above: The size in bytes above which an answer is compressed.
        max_value: The maximum size in bytes of an answer with its events, before compression.
    """

    url: ServerAddress | None = None
    password: SecretRef | None = None
    user: str = attrs.field(default="", validator=_check_user)
    ca_file: Path | None = None
    prefix: str = attrs.field(default="localagent:", validator=_check_prefix)
    ttl: PositiveSeconds = attrs.field(default=86_400.0, validator=_check_ttl)
    budget: PositiveSeconds = 0.05
    pause: PositiveSeconds = 5.0
    pool_size: Count = 32
    compress_above: Bytes = 4096
    max_value: Bytes = 2**20
