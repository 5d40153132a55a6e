"""The records that plugins, providers, transports and the core exchange.

The common ones are in ``localagent``. Those for caches, transports and HTTP servers are here.
"""

from __future__ import annotations

from localagent.records.attempt import Status
from localagent.records.cache_contents import CacheContents, CacheCounts, CacheStats, EntryFilter, EntryInfo
from localagent.records.cache_instruments import CACHE_INSTRUMENTS, cache_counters, cache_sizes
from localagent.records.caching import AnyResponse, cache_keys, pack_entry, unpack_entry
from localagent.records.call import CACHE, NOBODY
from localagent.records.instances import Instances, PoolProfile, check_model_name
from localagent.records.receipt_lines import AttemptRecord
from localagent.records.reports import receipt_of
from localagent.records.timeline import Span
from localagent.records.transport import ConnectSettings, Pooled, PoolStats, SizeLimits, read_up_to

__all__ = [
    "CACHE",
    "CACHE_INSTRUMENTS",
    "NOBODY",
    "AnyResponse",
    "AttemptRecord",
    "CacheContents",
    "CacheCounts",
    "CacheStats",
    "ConnectSettings",
    "EntryFilter",
    "EntryInfo",
    "Instances",
    "PoolProfile",
    "PoolStats",
    "Pooled",
    "SizeLimits",
    "Span",
    "Status",
    "cache_counters",
    "cache_keys",
    "cache_sizes",
    "check_model_name",
    "pack_entry",
    "read_up_to",
    "receipt_of",
    "unpack_entry",
]  # fmt: skip
