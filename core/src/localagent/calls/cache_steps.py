"""Asking caches for an answer, and handing them one: for whole answers, streams and flights alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from localagent.errors import NotCached
from localagent.pipeline.plan import first, notify, notify_all
from localagent.records.caching import CacheEntry, cache_keys, may_share, may_store, sample_of
from localagent.timing.timer import NEVER, Timer

if TYPE_CHECKING:
    from localagent.pipeline.plan import Step
    from localagent.records.attempt import Attempt
    from localagent.records.call import Call
    from localagent.records.responses import Response
    from localagent.runtime import Runtime

LOOKED_UP = 3
"""Targets of an alias for which caches are asked, from the first; the answer is kept for whichever answers."""


async def lookup(core: Runtime, call: Call) -> CacheEntry | None:
    """Ask the caches, if the call may be shared; its keys are made here and nowhere else.

    Raises:
        NotCached: No cache answers, and the call allows nothing else.
    """
    policy, steps = call.cache, call.plan.cache_lookup
    if (policy.lookup or policy.store) and may_share(call.request, core.settings.sharing.policy):
        sample = sample_of(call.request, policy.sample, core.settings.sharing.samples, core.random)
        call.keys = cache_keys(call.request, core.targets(call), call.principal.tenant, sample=sample)
    if call.keys and policy.lookup and steps:
        keys = call.keys[:LOOKED_UP]
        entry, step = await first(steps, call.timer, call, keys)
        oldest = policy.max_age
        if entry is not None and step is not None:
            try:
                if entry.key in keys and (oldest is None or core.wall() - entry.stored <= oldest):
                    return _hit(core, call, entry, step)
            except Exception as error:  # the plugin's entry: its fields may hold anything
                raise step.blame(error) from error
    if policy.only:
        raise NotCached("No cache has an answer, and the request allows nothing else.")
    return None


def _hit(core: Runtime, call: Call, entry: CacheEntry, step: Step) -> CacheEntry:
    """Return a call's own view of an entry; the caches that were asked before the one that had it are told of it."""
    call.cached = step.plugin
    call.hit = entry
    call.facts["age"] = age = max(0.0, core.wall() - entry.stored)
    asked = call.plan.cache_lookup
    if asked[0] is not step and call.cache.store:
        earlier = {one.plugin for one in asked[: asked.index(step)]}
        steps = tuple(one for one in call.plan.cache_store if one.plugin in earlier)
        store(core, call, msgspec.structs.replace(entry, source=call.cached), steps)
    found = entry.response
    response = msgspec.structs.replace(found, cached=call.cached, request_id=call.id, facts=dict(found.facts), age=age)
    return CacheEntry(entry.key, response, entry.events, entry.stored, call.cached, entry.seconds)


def may_join(call: Call) -> bool:
    """Whether a call may share a flight: it may be shared, and its policy lets others' answers in and its own out."""
    return bool(call.keys) and call.cache.lookup and call.cache.store


def entry_of(
    core: Runtime, call: Call, attempt: Attempt, response: Response, events: tuple[bytes, ...] | None = None
) -> CacheEntry | None:
    """Return a fresh answer as caches keep it, under the key of the target that answered; None for what is not kept."""
    if not (call.plan.cache_store and call.cache.store and may_store(response)):  # type: ignore[arg-type]
        return None
    key = next((key for key in call.keys if key.model == attempt.target.name), None)
    if key is None:
        return None
    kept = msgspec.structs.replace(response, facts=dict(response.facts))  # the user's own may be written to
    return CacheEntry(key, kept, events, core.wall(), seconds=core.clock() - call.started)  # type: ignore[arg-type]


def store(core: Runtime, call: Call, entry: CacheEntry, steps: Sequence[Step]) -> None:
    """Hand an entry to caches; behind the answer where that waits."""
    if not keep_now(call, entry, steps):
        core.spawn(offer(core, call, entry, steps), "cache_store")


def keep_now(call: Call, entry: CacheEntry, steps: Sequence[Step]) -> bool:
    """Hand an entry to caches if none of them waits, which costs less than another turn of the loop; say whether."""
    if any(step.awaits for step in steps):
        return False
    notify(steps, call, entry)
    return True


async def offer(core: Runtime, call: Call, entry: CacheEntry, steps: Sequence[Step]) -> None:
    """Hand an entry to caches, and wait for them."""
    with Timer(core.loop, NEVER, core.wheel) as timer:
        await notify_all(steps, timer, call, entry)
