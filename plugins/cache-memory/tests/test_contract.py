"""The promises of every cache."""

from __future__ import annotations

from localagent_cache_memory import MemoryCachePlugin
from localagent_testing import CacheContract


class TestContract(CacheContract):
    """One test a promise, with the settings that a user gets who sets nothing."""

    plugin = MemoryCachePlugin
