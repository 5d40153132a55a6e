"""Looks up and stores answers in caches, for complete answers, streams and flights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from localagent.errors import NotCached
from localagent.pipeline.dispatch import first, notify, notify_all
from localagent.records.caching import CacheEntry, cache_keys, may_share, may_store, sample_of

if TYPE_CHECKING:
    from localagent.pipeline.steps import Step
    from localagent.records.attempt import Attempt
    from localagent.records.call import Call
    from localagent.records.instances import Target
    from localagent.records.responses import Response
    from localagent.settings.model import Sharing
    from localagent.timing.services import LoopServices

LOOKED_UP = 3
"""How many targets of an alias are looked up, from the first; an answer is stored for the target that answered."""


class Caches:
    """The core's access to the caches of one client.

    Args:
        services: The services of the event loop.
        settings: The settings that decide which calls may share an answer.
        targets: Returns the targets that can answer a call.
    """

    def __init__(
        self, services: LoopServices, settings: Sharing, targets: Callable[[Call], tuple[Target, ...]]
    ) -> None:
        self._services = services
        self._settings = settings
        self._targets = targets

    async def lookup(self, call: Call) -> CacheEntry | None:
        """Look a call up in the caches, if it may be shared. Its keys are created here and nowhere else.

        Returns:
            The entry; None for a miss.

        Raises:
            NotCached: No cache has an answer, and the call accepts only cached answers.
        """
        policy, steps = call.cache, call.plan.cache_lookup
        if (policy.lookup or policy.store) and may_share(call.request, self._settings.policy):
            sample = sample_of(call.request, policy.sample, self._settings.samples, self._services.random)
            call.keys = cache_keys(call.request, self._targets(call), call.principal.tenant, sample=sample)
        if call.keys and policy.lookup and steps:
            keys = call.keys[:LOOKED_UP]
            entry, step = await first(steps, call.timer, call, keys)
            oldest = policy.max_age
            if entry is not None and step is not None:
                try:
                    if entry.key in keys and (oldest is None or self._services.wall_time() - entry.stored <= oldest):
                        return self._hit(call, entry, step)
                except Exception as error:  # the plugin's entry: its fields may have any value
                    raise step.wrap_error(error) from error
        if policy.only:
            raise NotCached("No cache has an answer, and the request accepts only a cached one.")
        return None

    def _hit(self, call: Call, entry: CacheEntry, step: Step) -> CacheEntry:
        """Return the call's own view of an entry, and store the entry in the earlier caches that missed."""
        call.cached = step.plugin
        call.hit = entry
        call.facts["age"] = age = max(0.0, self._services.wall_time() - entry.stored)
        asked = call.plan.cache_lookup
        if asked[0] is not step and call.cache.store:
            earlier = {one.plugin for one in asked[: asked.index(step)]}
            steps = tuple(one for one in call.plan.cache_store if one.plugin in earlier)
            self.store(call, msgspec.structs.replace(entry, source=call.cached), steps)
        response = msgspec.structs.replace(
            entry.response, cached=call.cached, request_id=call.id, facts=dict(entry.response.facts), age=age
        )
        return CacheEntry(entry.key, response, entry.events, entry.stored, call.cached, entry.seconds)

    def entry_of(
        self, call: Call, attempt: Attempt, response: Response, events: tuple[bytes, ...] | None = None
    ) -> CacheEntry | None:
        """Return the cache entry for a fresh answer, with the key of the target that answered.

        Returns:
            The entry; None for an answer that is not stored.
        """
        if not (call.plan.cache_store and call.cache.store and may_store(response)):  # type: ignore[arg-type]
            return None
        key = next((key for key in call.keys if key.model == attempt.target.name), None)
        if key is None:
            return None
        kept = msgspec.structs.replace(response, facts=dict(response.facts))  # the user may modify the original
        seconds = self._services.clock() - call.started
        return CacheEntry(key, kept, events, self._services.wall_time(), seconds=seconds)  # type: ignore[arg-type]

    def store(self, call: Call, entry: CacheEntry, steps: Sequence[Step]) -> None:
        """Store an entry in caches; in the background if one of them is asynchronous."""
        if not store_now(call, entry, steps):
            self._services.background.spawn(self.offer(call, entry, steps), "cache_store")

    async def offer(self, call: Call, entry: CacheEntry, steps: Sequence[Step]) -> None:
        """Store an entry in caches, and wait for them."""
        with self._services.timer() as timer:
            await notify_all(steps, timer, call, entry)


def may_join(call: Call) -> bool:
    """Return whether a call may share a flight: it has cache keys, and its policy allows both lookup and store."""
    return bool(call.keys) and call.cache.lookup and call.cache.store


def store_now(call: Call, entry: CacheEntry, steps: Sequence[Step]) -> bool:
    """Store an entry in caches if none is asynchronous, which saves a turn of the event loop; return whether it did."""
    if any(step.awaits for step in steps):
        return False
    notify(steps, call, entry)
    return True
