"""The promises of every cache."""

from __future__ import annotations

from localagent.testing import CacheContract
from localagent_cache_sqlite import SqliteCachePlugin


class TestContract(CacheContract):
    """One test a promise, with the settings that a user gets who sets nothing."""

    plugin = SqliteCachePlugin
