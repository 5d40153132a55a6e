"""Where answers come from: names of models, targets, the frozen description of an instance, and the core's counts.

Names of models are remembered, logged, and sent on in headers and errors, so not every text is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs
import msgspec

from localagent.errors import Draining, InvalidRequest
from localagent.records.transport import Pooled, PoolStats
from localagent.structuring.fields import NOT_A_SETTING, Count, Seconds

if TYPE_CHECKING:
    from localagent.records.responses import ModelInfo
    from localagent.structuring.place import Place

HealthStatus = Literal["unknown", "loading", "healthy", "unhealthy"]

LONGEST = 256
"""Characters of a model's name."""

# Control characters (C0, DEL, C1), what else ends a line, and halves of characters, which no encoding can say.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@attrs.frozen
class PoolProfile:
    """How connections to an instance are kept.

    Attributes:
        limit: The most connections at a time.
        keepalive: Seconds that an idle connection is kept; below what the server keeps it. A server that closes one
            just as a request is sent over it may or may not have seen the request, so the default is a second below
            the shortest usual time: uvicorn (vLLM), Node and cpp-httplib (llama.cpp) close after 5 s.
        chosen: Names of the fields that somebody chose; None means all of them.
    """

    limit: Count = 100
    keepalive: Seconds = 4.0
    chosen: frozenset[str] | None = attrs.field(default=None, eq=False, repr=False, metadata=NOT_A_SETTING)

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read a table, and note what it names."""
        from localagent.structuring.reading import read_table

        profile = read_table(cls, value, place)
        return attrs.evolve(profile, chosen=frozenset(value)) if isinstance(value, Mapping) else profile

    def over(self, other: PoolProfile) -> PoolProfile:
        """Return ``other``, with what somebody chose for this one in its place; that, and no more, stays chosen."""
        if self.chosen is None:
            return self
        return attrs.evolve(other, chosen=self.chosen, **{name: getattr(self, name) for name in self.chosen})


NOT_CHOSEN = PoolProfile(chosen=frozenset())
"""How connections are kept where nobody says anything."""


@attrs.frozen(eq=False)
class Instance:
    """One place that answers: URL x key of a provider. Two instances are equal when they are the same object.

    Attributes:
        id: Unique name, such as ``vllm@10.0.0.7:8000``.
        provider: Name of the provider, as configured.
        type: The provider type.
        url: Base address; no key is ever part of it.
        weight: Relative capacity, for balancing.
        pool: How connections are kept.
        fingerprint: A hash of what else decides its answers (see ``ProviderSetup.fingerprint``); empty when unknown.
    """

    id: str
    provider: str
    type: str
    url: str
    weight: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    pool: PoolProfile = NOT_CHOSEN
    fingerprint: str = attrs.field(default="", repr=False)


def check_model_name(name: str) -> None:
    """Refuse a name by which no model can be asked for.

    Args:
        name: ``provider/name`` or an alias; empty for the default model.

    Raises:
        InvalidRequest: It is not text, is longer than 256 characters, consists of blanks, lacks the part before or
            behind its first slash, or holds control characters, line ends or lone surrogates.
    """
    if not isinstance(name, str):
        raise InvalidRequest("The name of the model must be text.")
    if len(name) > LONGEST:
        raise InvalidRequest(f"The name of the model is longer than {LONGEST} characters.")
    if _UNFIT.search(name):
        raise InvalidRequest("The name of the model holds control characters.")
    provider, slash, model = name.partition("/")
    if name and not provider.strip():
        raise InvalidRequest("The name of the model is blank.", hint="Leave model out for the default model.")
    if slash and not model.strip():
        raise InvalidRequest("The name of the model ends behind its provider.", hint="Write it as PROVIDER/NAME.")


class Target(msgspec.Struct, frozen=True):
    """What an attempt goes to.

    Attributes:
        instance: The instance.
        model: The model's name there, without the provider.
        place: Index of the target in its alias; 0 where no alias was used.
    """

    instance: Instance
    model: str
    place: int = 0

    def __str__(self) -> str:
        return f"{self.instance.provider}/{self.model} at {self.instance.id}"

    @property
    def name(self) -> str:
        """``provider/model``."""
        return f"{self.instance.provider}/{self.model}"


@attrs.define(eq=False, repr=False)
class InstanceState:
    """The core's counts and health of an instance; plugins read it and never write.

    Attributes:
        instance: The description.
        in_flight: Attempts that are open now.
        attempts: Attempts that were sent since the start.
        failures: Of these, the ones that an error ended.
        streak: Failures since the last success.
        latency: Moving average (weight 0.2) of the seconds of successful attempts; None before the first.
        health: What checks and traffic say about it.
        error: The last failure in one sentence; empty while all is well.
        draining: True when it takes no new attempts.
        seen: Clock time of the last success or check; None before the first.
        sick: Clock time of the failure that made it unhealthy; None while it is not, or where its provider says so.
        models: Its models by their ids, as it listed them last; None before the first list.
        transport: What its requests are sent with; None before the first attempt.
    """

    instance: Instance
    in_flight: int = 0
    attempts: int = 0
    failures: int = 0
    streak: int = 0
    latency: float | None = None
    health: HealthStatus = "unknown"
    error: str = ""
    draining: bool = False
    seen: float | None = None
    sick: float | None = None
    models: Mapping[str, ModelInfo] | None = None
    transport: Any = None

    @property
    def pool(self) -> PoolStats | None:
        """How its connections are used; None before the first attempt, and where the transport does not tell."""
        return self.transport.stats() if isinstance(self.transport, Pooled) else None

    def succeeded(self, seconds: float, now: float) -> None:
        """Count a success that took this many seconds, until this clock time: as good a sign as a check."""
        self.seen = now
        self.sick = None
        self.streak = 0
        self.health = "healthy"
        self.error = ""
        self.latency = seconds if self.latency is None else 0.8 * self.latency + 0.2 * seconds

    def failed(self, reason: str, *, sick: bool, now: float | None = None) -> None:
        """Count a failure at a clock time; ``sick`` says that it speaks of the instance and not of the request."""
        self.failures += 1
        if sick:
            self.streak += 1
            self.sick = now
            self.error = reason
            self.health = "unhealthy"


Watcher = Callable[[Literal["added", "draining", "removed"], Instance], None]


class Instances:
    """The instances that are there now; they come and go while calls run."""

    def __init__(self) -> None:
        self._states: dict[Instance, InstanceState] = {}
        self._by_provider: dict[str, tuple[InstanceState, ...]] = {}
        self._watchers: list[Watcher] = []
        self.version = 0

    def __iter__(self) -> Any:
        return iter(tuple(self._states))

    def __len__(self) -> int:
        return len(self._states)

    def add(self, instance: Instance) -> None:
        """Take a new instance into service.

        Raises:
            ValueError: An instance of that id is there already.
        """
        if any(known.id == instance.id for known in self._states):
            raise ValueError(f"instance {instance.id!r} exists already")
        self._states[instance] = InstanceState(instance)
        self._changed("added", instance)

    def drain(self, instance: Instance) -> None:
        """Send it nothing new; it is forgotten when its last attempt has ended."""
        state = self._states[instance]
        state.draining = True
        self._changed("draining", instance)
        self.settle(state)

    def settle(self, state: InstanceState) -> None:
        """Forget a draining instance that has nothing in flight."""
        if state.draining and state.in_flight == 0 and state.instance in self._states:
            del self._states[state.instance]
            self._changed("removed", state.instance)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell ``watcher`` of every change from now on; returns a function that ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def state(self, instance: Instance) -> InstanceState:
        """Return the counts and health of an instance."""
        return self._states[instance]

    def find(self, instance: Instance) -> InstanceState | None:
        """Return the counts and health of an instance; None when it is not there any more."""
        return self._states.get(instance)

    def serves(self, instance: Instance) -> bool:
        """Say whether an instance is there and takes new attempts."""
        state = self._states.get(instance)
        return state is not None and not state.draining

    def report(self, instance: Instance, health: HealthStatus, error: str = "") -> None:
        """Say how an instance is; for providers that run it themselves and so know better than a check."""
        state = self._states.get(instance)
        if state is not None:
            state.health, state.error, state.sick = health, error, None

    def of(self, provider: str) -> tuple[InstanceState, ...]:
        """Return the instances of a provider that take new attempts, in the order they came."""
        return self._by_provider.get(provider, ())

    def _changed(self, what: Literal["added", "draining", "removed"], instance: Instance) -> None:
        self.version += 1
        self._by_provider[instance.provider] = tuple(
            state
            for state in self._states.values()
            if state.instance.provider == instance.provider and not state.draining
        )
        for watcher in tuple(self._watchers):
            watcher(what, instance)


def removed(instance: Instance) -> Draining:
    """Return the error for who still wants something of an instance that was removed."""
    return Draining(f"The instance {instance.id} was removed.")
