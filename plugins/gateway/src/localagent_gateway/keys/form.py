"""How a key looks: ``la-``, ten characters that name it, a hyphen, and 256 random bits.

The bits come from the system's generator. A fast hash is enough for them: what has at least 112 random bits needs no
slow one (NIST SP 800-63B, section 5.1.2.2).
"""

from __future__ import annotations

import hmac
import secrets

from localagent import Secret

PREFIX = "la-"
ID_LENGTH = 10
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # no 0 and 1: an id is read aloud, too
_ID = slice(len(PREFIX), len(PREFIX) + ID_LENGTH)


def new_key() -> tuple[str, Secret]:
    """Return the public id of a new key and the key itself."""
    id = "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))
    return id, Secret(f"{PREFIX}{id}-{secrets.token_urlsafe(32)}")


def public_id(key: str) -> str:
    """Return the part of a key by which it is looked up; of a text that is no key, something that no key is named."""
    return key[_ID] if key.startswith(PREFIX) else ""


def digest(pepper: bytes, key: str) -> bytes:
    """Return what is kept of a key: its HMAC-SHA256 under the pepper, 32 bytes."""
    return hmac.digest(pepper, key.encode("utf-8", "surrogateescape"), "sha256")
