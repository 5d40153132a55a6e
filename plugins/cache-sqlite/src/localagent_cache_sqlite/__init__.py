"""Answers repeated requests from a file that survives restarts and that processes share."""

from localagent_cache_sqlite.plugin import SqliteCachePlugin
from localagent_cache_sqlite.settings import SqliteCacheSettings

__all__ = ["SqliteCachePlugin", "SqliteCacheSettings"]
