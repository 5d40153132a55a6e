"""The settings of cache-valkey."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs

from localagent import Bytes, Count, PositiveSeconds, SecretRef
from localagent_valkey.address import ServerAddress

SHORTEST, LONGEST = 0.001, 10 * 365 * 86_400.0  # what the server takes for a time to live begins at a millisecond
_PREFIX = re.compile(r"[\x21-\x7e]{1,128}")


def _check_ttl(settings: Any, attribute: Any, ttl: float) -> None:
    if not SHORTEST <= ttl <= LONGEST:
        raise ValueError("ttl must be from 1 ms to 3650 d")


def _check_prefix(settings: Any, attribute: Any, prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("prefix must be 1 to 128 characters of ASCII without white space")


def _check_user(settings: Any, attribute: Any, user: str) -> None:
    if user and settings.password is None:
        raise ValueError("user needs a password beside it")


@attrs.frozen
class ValkeyCacheSettings:
    """``[plugins.cache-valkey]``: where the server is, what is kept there, and how long anybody waits for it.

    Attributes:
        url: The server; without it the plugin does nothing, for it probes no port that nobody named.
        password: Where the password is found.
        user: The name that goes with it, on servers with users.
        ca_file: Certificates of those who may vouch for the server, in PEM; None means the system's.
        prefix: What the names of all keys begin with.
        ttl: Seconds until the server lets an answer go.
        budget: Seconds that an operation may take, waiting for a connection included.
        pause: Seconds for which nobody asks a server that failed three times in a row.
        pool_size: The most connections.
        compress_above: Bytes from which on an answer is compressed.
        max_value: The most bytes of an answer with its events, before it is compressed.
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
