"""The plugin's settings."""

from __future__ import annotations

import attrs

from localagent import PositiveSeconds


@attrs.frozen
class FastConnectSettings:
    """``[plugins.connect-fast]``.

    Attributes:
        leave: Names of providers whose instances are left to other transports.
        resolve_every: Seconds that the addresses of a name are used before it is resolved again.
    """

    leave: tuple[str, ...] = ()
    resolve_every: PositiveSeconds = 30.0
