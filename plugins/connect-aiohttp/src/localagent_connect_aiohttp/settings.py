"""The plugin's settings, and the profile that holds for an instance."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds
from localagent.records import PoolProfile


@attrs.frozen
class AiohttpConnectSettings:
    """``[plugins.connect-aiohttp]``.

    Attributes:
        limit: The most connections at a time, of all instances together; left out, there is no such limit.
        profiles: How connections are kept, by the name of a provider or of a type; others stay as they are.
        warm: Connections that are opened at the start, for every instance.
        spare: Connections that are opened beyond those that are needed while load rises.
        connect: Seconds after which an opening of ``warm`` or ``spare`` is given up.
        resolve_every: Seconds that the address of a name is remembered; a failure to connect ends it at once.
    """

    limit: Count | None = None
    profiles: dict[str, PoolProfile] = attrs.field(factory=dict)
    warm: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    spare: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    connect: PositiveSeconds = 10.0
    resolve_every: PositiveSeconds = 30.0

    def profile(self, provider: str, kind: str, pool: PoolProfile) -> PoolProfile:
        """Return how connections of a provider are kept.

        Args:
            provider: The provider's name.
            kind: Its type's name.
            pool: Its own profile: what its type brings, and what its settings choose. What they choose wins.
        """
        given = self.profiles.get(provider) or self.profiles.get(kind)
        return pool if given is None else pool.over(given.over(pool))
