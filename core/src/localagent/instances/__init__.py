"""The configured providers and their instances.

For fronts that read settings before a client opens; plugins need none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.instances.offered_types import (
        SHARED_VARIABLE as SHARED_VARIABLE, provider_types as provider_types, with_defaults as with_defaults,
        with_pools as with_pools,
    )
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "offered_types": "SHARED_VARIABLE provider_types with_defaults with_pools",
    },
)
