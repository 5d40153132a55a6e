"""The plugin's settings."""

from __future__ import annotations

import attrs

from localagent import PositiveSeconds


@attrs.frozen
class FastConnectSettings:
    """``[plugins.connect-fast]``.

    Attributes:
        leave: Names of providers whose instances use another transport.
        resolve_every: Seconds that the addresses of a host name are cached.
    """

    leave: tuple[str, ...] = ()
    resolve_every: PositiveSeconds = 30.0
