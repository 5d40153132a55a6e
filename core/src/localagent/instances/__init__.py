"""The configured providers and their instances.

For HTTP servers that read settings before a client opens. Plugins do not need it.
"""

from __future__ import annotations

from localagent.instances.offered_types import SHARED_VARIABLE, provider_types, with_defaults, with_pools

__all__ = [
    "SHARED_VARIABLE", "provider_types", "with_defaults", "with_pools",
]  # fmt: skip
