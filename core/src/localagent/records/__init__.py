"""The records that plugins, providers, transports and the core hand each other.

The common ones are in ``localagent``; here are those of caches and transports, and what fronts need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.records.attempt import Status as Status
    from localagent.records.cache_contents import (
        CacheContents as CacheContents, CacheCounts as CacheCounts, CacheFigures as CacheFigures,
        KeptAnswer as KeptAnswer, Which as Which,
    )
    from localagent.records.caching import (
        AnyResponse as AnyResponse, cache_keys as cache_keys, pack_entry as pack_entry, unpack_entry as unpack_entry,
    )
    from localagent.records.call import CACHE as CACHE, NOBODY as NOBODY
    from localagent.records.instances import (
        Instances as Instances, PoolProfile as PoolProfile, check_model_name as check_model_name,
    )
    from localagent.records.reports import AttemptRecord as AttemptRecord, receipt_of as receipt_of
    from localagent.records.transport import (
        Caps as Caps, ConnectSettings as ConnectSettings, PoolStats as PoolStats, Pooled as Pooled,
        read_up_to as read_up_to,
    )
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "attempt": "Status",
        "cache_contents": "CacheContents CacheCounts CacheFigures KeptAnswer Which",
        "caching": "AnyResponse cache_keys pack_entry unpack_entry",
        "call": "CACHE NOBODY",
        "instances": "Instances PoolProfile check_model_name",
        "reports": "AttemptRecord receipt_of",
        "transport": "Caps ConnectSettings PoolStats Pooled read_up_to",
    },
)
