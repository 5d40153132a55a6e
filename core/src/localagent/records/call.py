"""A call: one request of a user while the pipeline processes it."""

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
    from localagent.records.receipt_lines import StepRecords
    from localagent.records.requests import Request
    from localagent.timing.timer import Timer


@attrs.frozen
class Principal:
    """Who makes a call.

    Attributes:
        tenant: The tenant's name. Two tenants never share cache entries, flights or figures.
        models: The models that the principal may use; None means all.
        limits: Limits by name, for limit plugins.
        key: The id of the API key that identified the caller, for logs; never the key. Empty without one.

    Since: 0.1.
    """

    tenant: str = ""
    models: frozenset[str] | None = None
    limits: Any = attrs.field(factory=dict)
    key: str = attrs.field(default="", eq=False)


class PublicFact(str):
    """A fact that may leave the process: users find it in the answer's ``facts``, clients of a server in a header.

    Args:
        value: Any value whose text has 1 to 256 visible ASCII characters and no spaces.

    Raises:
        ValueError: The text has other characters, or not 1 to 256 of them.

    Example:
        ::

            call.facts["region"] = PublicFact("eu-west-1")

    Since: 0.1.
    """

    __slots__ = ()

    def __new__(cls, value: object) -> Self:
        """Check the text."""
        if re.fullmatch("[!-~]{1,256}", str(value)) is None:
            raise ValueError("A public fact must have 1 to 256 visible ASCII characters and no spaces.")
        return super().__new__(cls, value)


NOBODY = Principal()
NONE_SKIPPED: frozenset[str] = frozenset()


def principal_of(tenant: str) -> Principal:
    """Return the principal with this tenant's name; ``NOBODY`` for an empty name."""
    return Principal(tenant=tenant) if tenant else NOBODY


class CachePolicy(msgspec.Struct, frozen=True):
    """What a call allows caches to do.

    Attributes:
        lookup: Whether a stored answer may be used.
        store: Whether the answer may be stored.
        only: Whether only a stored answer may be used; a miss raises ``NotCached``.
        max_age: Maximum age of a stored answer in seconds; None means any age.
        sample: Which of several stored answers to the same request is used; None lets the settings choose.

    Example:
        ::

            response = await client.chat("Why is the sky blue?", cache=CachePolicy(max_age=3600))

    Since: 0.1.
    """

    lookup: bool = True
    store: bool = True
    only: bool = False
    max_age: float | None = None
    sample: int | None = None


CACHE = CachePolicy()
NO_CACHE = CachePolicy(lookup=False, store=False)


def cache_policy(cache: bool | CachePolicy) -> CachePolicy:
    """Return the policy for an argument: a policy as it is, all caches for True, no cache for False."""
    if isinstance(cache, CachePolicy):
        return cache
    return CACHE if cache else NO_CACHE


class Call:
    """One request of a user while the pipeline processes it. Plugins read it, and share data with others in ``facts``.

    Attributes:
        id: Unique id, in logs, errors and answers.
        operation: chat, complete or embed.
        request: The request, as the last step left it.
        stream: Whether the user reads the answer as a stream.
        principal: Who makes the call.
        deadline: Clock time at which the call times out.
        priority: Higher goes first where plugins queue; 0 by default.
        cache: What caches may do.
        parent: The call during which a plugin made this one; None for a user's call.
        depth: How many ancestors it has; 0 for a user's call.
        attempts: The attempts that were sent, oldest first. Emptied after record_metric, unless the call records its
            steps.
        facts: Facts that plugins share; those of the type ``PublicFact`` are shown to users and clients. The core sets
            ``age``: seconds since a cached answer was made.
        keys: Cache keys, one per target of the alias; empty when the call may not be shared.
        plan: The compiled order of all steps.
        started: Clock time of the start.
        cached: The cache plugin that answered; empty when a model did.
        hit: The cache entry that answered; None when a model did.
        refused_target: The target that a gate refused last; None if none did.
        coalesced: Whether it shared a flight that the metric of another call accounts for; set at the end of the call.
        skipped: Names of the plugins whose steps are skipped (in a plugin's own child calls).
        wall_time: Returns the seconds since the epoch.
        records: What each step decided, when the call asked for a receipt; None otherwise.

    Since: 0.1.
    """

    __slots__ = ("attempts", "cache", "cached", "candidates", "coalesced", "count", "deadline", "depth",
                 "facts", "hit", "id", "keys", "operation", "parent", "plan", "principal", "priority", "records",
                 "refused_target", "request", "skipped", "started", "stream", "timer", "wall_time")  # fmt: skip

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
        self.refused_target: Target | None = None
        self.skipped: frozenset[str] = NONE_SKIPPED
        self.records: StepRecords | None = None
        self.candidates: tuple[Target, ...] = ()
        self.count: Callable[[Request, Target], Awaitable[int | None]] | None = None

    @property
    def public_facts(self) -> dict[str, PublicFact]:
        """The facts that users and clients may see."""
        return {name: fact for name, fact in self.facts.items() if isinstance(fact, PublicFact)} if self.facts else {}

    @property
    def forwarded(self) -> str:
        """Why no cache answered: ``request``, ``bypass`` or ``miss`` (RFC 9211).

        ``request``: the call does not allow it. ``bypass``: the answer may not be shared. Empty when a cache answered,
        or no cache is installed.
        """
        if self.cached or not self.plan.cache_lookup:
            return ""
        return ("miss" if self.keys else "bypass") if self.cache.lookup else "request"

    async def prompt_tokens(self, target: Target) -> int | None:
        """Return the number of tokens of the request at a target; None when no plugin can count them."""
        return None if self.count is None else await self.count(self.request, target)

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.operation}>"
