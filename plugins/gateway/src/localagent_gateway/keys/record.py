"""What is known of a key; the key itself is nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from localagent import Principal

State = Literal["active", "expired", "revoked"]


@attrs.frozen
class KeyRecord:
    """One key, as the store knows it.

    Attributes:
        id: Its public part, which names it in lists.
        digest: HMAC-SHA256 of the whole key under the pepper.
        name: What people call it.
        tenant: Whose caches, limits and figures its calls share.
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
