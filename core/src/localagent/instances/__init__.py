"""The configured providers and their instances.

For fronts that read settings before a client opens; plugins need none of this.
"""

from __future__ import annotations

from localagent.instances.offered_types import SHARED_VARIABLE, provider_types, with_defaults, with_pools

__all__ = [
    "SHARED_VARIABLE", "provider_types", "with_defaults", "with_pools",
]  # fmt: skip
