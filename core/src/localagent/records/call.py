"""A request of a user on its way."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

import attrs
import msgspec

if TYPE_CHECKING:
    from localagent.pipeline.plan import Plan
    from localagent.records.attempt import Attempt
    from localagent.records.caching import CacheEntry, CacheKey
    from localagent.records.instances import Target
    from localagent.records.requests import Request
    from localagent.timing.timer import Timer


@attrs.frozen
class Principal:
    """Who asks.

    Attributes:
        tenant: Whose caches, flights and figures these are; two tenants never share any.
        models: The models that may be used; None means all.
        limits: Limits by name, for limit plugins.
    """

    tenant: str = ""
    models: frozenset[str] | None = None
    limits: Any = attrs.field(factory=dict)


class PublicFact(str):
    """A fact that may leave the process: users find it in the answer's ``facts``, clients of a server in a header.

    Args:
        value: Anything whose text has 1 to 256 visible ASCII characters, and no blank.

    Raises:
        ValueError: It has others, or more.
    """

    __slots__ = ()

    def __new__(cls, value: object) -> Self:
        """Check the text."""
        if re.fullmatch("[!-~]{1,256}", str(value)) is None:
            raise ValueError("A public fact has 1 to 256 visible ASCII characters, and no blank.")
        return super().__new__(cls, value)


NOBODY = Principal()
NONE_SKIPPED: frozenset[str] = frozenset()


def principal_of(tenant: str) -> Principal:
    """Return the principal of a tenant's name; an empty one names nobody."""
    return Principal(tenant=tenant) if tenant else NOBODY


class CachePolicy(msgspec.Struct, frozen=True):
    """What a call allows caches to do.

    Attributes:
        lookup: An entry may answer.
        store: The answer may be kept.
        only: Only an entry may answer; a miss is an error.
        max_age: The oldest entry that may answer, in seconds.
        sample: Which of several answers that are kept for the same request is meant; None lets the settings choose.
    """

    lookup: bool = True
    store: bool = True
    only: bool = False
    max_age: float | None = None
    sample: int | None = None


CACHE = CachePolicy()
NO_CACHE = CachePolicy(lookup=False, store=False)


def cache_policy(cache: bool | CachePolicy) -> CachePolicy:
    """Return the policy that a caller means: one of its own, all caches (True), or none (False)."""
    if isinstance(cache, CachePolicy):
        return cache
    return CACHE if cache else NO_CACHE


class Call:
    """One request of a user on its way. Plugins read it; what they want to tell others they put into ``facts``.

    Attributes:
        id: Unique id, in logs, errors and answers.
        operation: chat, complete or embed.
        request: The request, as it left the last step.
        stream: Whether the user reads the answer as a stream.
        principal: Who asks.
        deadline: Clock time at which the call is over.
        priority: Higher goes first where plugins queue; 0 by default.
        cache: What caches may do.
        parent: The call of the plugin that sent this one, if any.
        depth: How many parents it has.
        attempts: The attempts that were sent, oldest first; none after record_metric, except for calls
            that record.
        facts: Facts that plugins leave; those of the type ``PublicFact`` are told to users and clients. The core's own
            is ``age``: seconds since the answer was made that a cache had.
        keys: Cache keys, one a target of the alias; empty when the call may not be shared.
        plan: The compiled order of all steps.
        started: Clock time of the start.
        cached: The plugin whose entry answered; empty when a model did.
        hit: That entry.
        coalesced: Whether it shared a flight that another call's metric accounts for; set at its end.
        skipped: Names of the plugins whose steps are skipped (a plugin's own child calls).
        wall_time: Returns the seconds since the epoch.
        records: What each step decided, when the call asked for a receipt; None otherwise.
    """

    __slots__ = ("attempts", "cache", "cached", "candidates", "coalesced", "count", "deadline", "depth",
                 "facts", "hit", "id", "keys", "operation", "parent", "plan", "principal", "priority", "records",
                 "request", "skipped", "started", "stream", "timer", "wall_time")  # fmt: skip

    def __init__(
        self, *, id: str, request: Request, plan: Plan, timer: Timer, principal: Principal, cache: CachePolicy,
        stream: bool, started: float, wall_time: Callable[[], float], parent: Call | None = None,
    ) -> None:  # fmt: skip
        self.id = id
        self.operation = request.operation
        self.request = request
        self.stream = stream
        self.principal = principal
        self.priority = 0
        self.cache = cache
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.attempts: list[Attempt] = []
        self.facts: dict[str, Any] = {}
        self.keys: tuple[CacheKey, ...] = ()
        self.plan = plan
        self.timer = timer
        self.deadline = timer.deadline
        self.started = started
        self.wall_time = wall_time
        self.cached = ""
        self.hit: CacheEntry | None = None
        self.coalesced = False
        self.skipped: frozenset[str] = NONE_SKIPPED
        self.records: list[Any] | None = None
        self.candidates: tuple[Target, ...] = ()
        self.count: Callable[[Request, Target], Awaitable[int | None]] | None = None

    @property
    def public_facts(self) -> dict[str, PublicFact]:
        """The facts that may leave the process."""
        return {name: fact for name, fact in self.facts.items() if isinstance(fact, PublicFact)} if self.facts else {}

    @property
    def forwarded(self) -> str:
        """Why no cache answered: ``request``, ``bypass`` or ``miss`` (RFC 9211); empty where one did, or there is none.

        ``request``: the call does not want it. ``bypass``: its answer may not be shared.
        """
        if self.cached or not self.plan.cache_lookup:
            return ""
        return ("miss" if self.keys else "bypass") if self.cache.lookup else "request"

    async def prompt_tokens(self, target: Target) -> int | None:
        """Count the request's tokens for a target; None when no plugin counts for it."""
        return None if self.count is None else await self.count(self.request, target)

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.operation}>"
