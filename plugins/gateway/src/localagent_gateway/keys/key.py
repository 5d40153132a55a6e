"""A key: how it looks, and what is known of it when it is gone from sight.

It is ``la-``, ten characters that name it, a hyphen, and 256 random bits. The bits come from the system's generator. A
fast hash is enough for them: what has at least 112 random bits needs no slow one (NIST SP 800-63B, section 5.1.2.2).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from localagent import Principal, Secret

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


State = Literal["active", "expired", "revoked"]


@attrs.frozen
class KeyRecord:
    """One key, as the store knows it.

    Attributes:
        id: Its public part, which names it in lists.
        digest: HMAC-SHA256 of the whole key under the pepper.
        name: What people call it.
        tenant: Whose caches, limits and figures its calls share; its id, unless another was named.
        models: The models that it may use; None means all.
        limits: Numbers by name, for limit plugins.
        created: Seconds since the epoch.
        expires: When it ends; None for never.
        revoked: When it was revoked; None while it was not.
    """

    id: str
    digest: bytes = attrs.field(repr=False)
    name: str
    tenant: str
    models: frozenset[str] | None
    limits: Mapping[str, float]
    created: float
    expires: float | None = None
    revoked: float | None = None

    def state(self, now: float) -> State:
        """Return what the key is worth at a time, in seconds since the epoch."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    @property
    def principal(self) -> Principal:
        """Who asks with it."""
        return Principal(tenant=self.tenant, models=self.models, limits=dict(self.limits))


def separated(records: Iterable[KeyRecord]) -> list[KeyRecord]:
    """Return keys of which none has the tenant of an earlier key by nothing but its name.

    The first version took a key's name for its tenant, so that a key that took the name of a revoked one got the
    answers that caches kept for it.

    Args:
        records: Keys that the first version made, in the order in which they were made.
    """
    taken: set[str] = set()
    found = []
    for record in records:
        again = record.tenant == record.name and record.name in taken
        found.append(attrs.evolve(record, tenant=record.id) if again else record)
        taken.add(record.name)
    return found


def revoked_in(records: Iterable[KeyRecord], revocations: Mapping[str, float]) -> list[KeyRecord]:
    """Return keys with the revocations of some of them, by id, in seconds since the epoch."""
    return [
        attrs.evolve(record, revoked=revocations[record.id])
        if record.revoked is None and record.id in revocations
        else record
        for record in records
    ]
