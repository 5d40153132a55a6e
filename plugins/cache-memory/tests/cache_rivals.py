"""What the cache is compared with: LRU, and the best that anybody could do who knew the future."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence

from localagent_cache_memory.s3fifo import S3Fifo


def s3fifo_hits(trace: Sequence[int], room: int) -> int:
    """Count the hits of the cache's own eviction, with room for so many entries."""
    cache: S3Fifo[int, bool] = S3Fifo(max_size=room, max_entries=room)
    hits = 0
    for key in trace:
        if cache.get(key):
            hits += 1
        else:
            cache.put(key, True, 1)
    return hits


def lru_hits(trace: Sequence[int], room: int) -> int:
    """Count the hits of a cache that lets go what was used longest ago."""
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
            continue
        kept[key] = None
        if len(kept) > room:
            kept.popitem(last=False)
    return hits


def optimal_hits(trace: Sequence[int], room: int) -> int:
    """Count the hits of the optimum (Belady 1966): what goes is what is asked for last, or never again."""
    following = _next_uses(trace)
    kept: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []  # (minus the next use, key); stale ones are skipped
    hits = 0
    for key, use in zip(trace, following, strict=True):
        hits += key in kept
        kept[key] = use
        heapq.heappush(farthest, (-use, key))
        while len(kept) > room:
            use, victim = heapq.heappop(farthest)
            if kept.get(victim) == -use:
                del kept[victim]
    return hits


def _next_uses(trace: Sequence[int]) -> list[int]:
    """Return, for each place in a trace, the place where its key comes next; one past any, if it does not."""
    seen: dict[int, int] = {}
    following = [0] * len(trace)
    for place in range(len(trace) - 1, -1, -1):
        following[place] = seen.get(trace[place], 2 * len(trace))
        seen[trace[place]] = place
    return following
