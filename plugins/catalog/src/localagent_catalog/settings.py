"""The settings of catalog."""

from __future__ import annotations

import attrs

from localagent import PositiveSeconds


@attrs.frozen
class CatalogSettings:
    """``[plugins.catalog]``: how long a model list is fresh.

    Attributes:
        ttl: How long the list of a remote server is fresh.
        local_ttl: How long the list of a server on this machine or in its network is fresh; models are pulled and
            removed there.
        stale: For so many more times of ``ttl`` or ``local_ttl``, an old list is still used while the server is asked
            again.
        pause: The minimum time between two requests in the background.
    """

    ttl: PositiveSeconds = 6 * 3600.0
    local_ttl: PositiveSeconds = 60.0
    stale: float = attrs.field(default=10.0, validator=attrs.validators.ge(1))
    pause: PositiveSeconds = 30.0
