"""The plugin's settings, and the pool profile of a provider."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds
from localagent.records import PoolProfile


@attrs.frozen
class AiohttpConnectSettings:
    """``[plugins.connect-aiohttp]``.

    Attributes:
        limit: The maximum number of connections at a time, over all instances; unset means no limit.
        profiles: How connections are kept, by the name of a provider or of a type; unset fields keep their value.
        warm: Connections opened at startup for every instance.
        spare: Extra connections opened while load rises.
        connect: Seconds after which an attempt to open a ``warm`` or ``spare`` connection is given up.
        resolve_every: Seconds that the address of a host name is cached; a failure to connect drops it at once.
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
            kind: The name of the provider's type.
            pool: The provider's own profile: the defaults of its type, and its own settings, which win.
        """
        given = self.profiles.get(provider) or self.profiles.get(kind)
        return pool if given is None else pool.over(given.over(pool))
