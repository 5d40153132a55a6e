"""The settings of catalog."""

from __future__ import annotations

import attrs

from localagent import PositiveSeconds


@attrs.frozen
class CatalogSettings:
    """``[plugins.catalog]``: how long a model list is good.

    Attributes:
        ttl: How long the list of a server elsewhere is good.
        local_ttl: How long that of a server on this machine or in its network is good: models are pulled and removed
            there.
        stale: A list that is older is answered for so many times as long, while the server is asked anew.
        pause: The least time between two questions that nobody waits for.
    """

    ttl: PositiveSeconds = 6 * 3600.0
    local_ttl: PositiveSeconds = 60.0
    stale: float = attrs.field(default=10.0, validator=attrs.validators.ge(1))
    pause: PositiveSeconds = 30.0
