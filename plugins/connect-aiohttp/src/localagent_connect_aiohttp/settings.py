"""The plugin's settings, and the profile that holds for an instance."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from localagent import Count, PoolProfile, PositiveSeconds

PROFILES: Mapping[str, PoolProfile] = {
    "ollama": PoolProfile(limit=10, keepalive=60.0),
    "openai": PoolProfile(limit=50, keepalive=30.0),
    "gemini": PoolProfile(limit=20, keepalive=45.0),
    "perplexity": PoolProfile(limit=15, keepalive=30.0),
}
"""What is known of providers, by the name of the provider or of its type. Source: the project's roadmap."""

SPOKEN_BY_MANY: Mapping[str, PoolProfile] = {"openai": PoolProfile(limit=50)}
"""What is known of types that are only a protocol: vLLM and llama.cpp speak OpenAI's and close after 5 s."""


@attrs.frozen
class AiohttpConnectSettings:
    """``[plugins.connect-aiohttp]``.

    Attributes:
        limit: The most connections at a time, of all instances together.
        profiles: How connections are kept, by the name of a provider or of a type; what is left out stays as it is.
        warm: Connections that are opened at the start, for every instance.
        spare: Connections that are opened beyond those that are needed while load rises.
        connect: Seconds after which such an opening is given up.
        resolve_every: Seconds that the address of a name is remembered; a failure to connect ends it at once.
    """

    limit: Count = 1000
    profiles: dict[str, PoolProfile] = attrs.field(factory=dict)
    warm: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    spare: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    connect: PositiveSeconds = 10.0
    resolve_every: PositiveSeconds = 30.0

    def profile(self, provider: str, kind: str, chosen: PoolProfile) -> PoolProfile:
        """Return how connections of a provider are kept.

        Args:
            provider: The provider's name.
            kind: Its type's name.
            chosen: What the provider's own settings say; it wins.
        """
        known = PROFILES.get(provider) or SPOKEN_BY_MANY.get(kind) or PROFILES.get(kind) or PoolProfile()
        given = self.profiles.get(provider) or self.profiles.get(kind)
        return chosen.over(given.over(known) if given is not None else known)
