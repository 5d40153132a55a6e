"""Where answers come from: model names, targets, the frozen description of an instance, and the core's counts.

Model names are stored, logged, and sent in headers and errors, so not every string is accepted as one.
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
"""Maximum length of a model's name in characters."""

# Control characters (C0, DEL, C1), other line ends, and lone surrogates, which UTF-8 cannot encode.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@attrs.frozen
class PoolProfile:
    """How connections to an instance are kept.

    Attributes:
        limit: Maximum number of connections at a time.
        keepalive: Seconds that an idle connection is kept; should be less than the server keeps it. If the server
            closes a connection just as a request is sent, nobody knows whether it has seen the request. So the default
            is a second less than the shortest usual time: uvicorn (vLLM), Node and cpp-httplib (llama.cpp) close after
            5 s.
        chosen: Names of the fields that were set explicitly; None means all of them.
    """

    limit: Count = 100
    keepalive: Seconds = 4.0
    chosen: frozenset[str] | None = attrs.field(default=None, eq=False, repr=False, metadata=NOT_A_SETTING)

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read a table, and note which fields it sets."""
        from localagent.structuring.reading import read_table

        profile = read_table(cls, value, place)
        return attrs.evolve(profile, chosen=frozenset(value)) if isinstance(value, Mapping) else profile

    def over(self, other: PoolProfile) -> PoolProfile:
        """Return ``other`` with the fields that are set explicitly here; only these count as set in the result."""
        if self.chosen is None:
            return self
        return attrs.evolve(other, chosen=self.chosen, **{name: getattr(self, name) for name in self.chosen})


NOT_CHOSEN = PoolProfile(chosen=frozenset())
"""The profile of an instance for which nothing is set."""


@attrs.frozen(eq=False)
class Instance:
    """One address of a provider with one of its keys. Two instances are equal when they are the same object.

    Attributes:
        id: Unique name, such as ``vllm@10.0.0.7:8000``.
        provider: Name of the provider, as configured.
        type: The provider type.
        url: Base address; never contains a key.
        weight: Relative capacity, for load balancing.
        pool: How connections are kept.
        fingerprint: A hash of everything else that its answers depend on (see ``ProviderSetup.fingerprint``); empty
            when unknown.

    Since: 0.1.
    """

    id: str
    provider: str
    type: str
    url: str
    weight: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    pool: PoolProfile = NOT_CHOSEN
    fingerprint: str = attrs.field(default="", repr=False)


def check_model_name(name: str) -> None:
    """Refuse a string that cannot be the name of a model.

    Args:
        name: ``provider/name`` or an alias; empty for the default model.

    Raises:
        InvalidRequest: It is not a string, is longer than 256 characters, is blank, lacks the part before or after its
            first slash, or contains control characters, line ends or lone surrogates.
    """
    if not isinstance(name, str):
        raise InvalidRequest("The name of the model must be text.")
    if len(name) > LONGEST:
        raise InvalidRequest(f"The name of the model is longer than {LONGEST} characters.")
    if _UNFIT.search(name):
        raise InvalidRequest("The name of the model contains control characters.")
    provider, slash, model = name.partition("/")
    if name and not provider.strip():
        raise InvalidRequest("The name of the model is blank.", hint="Leave model out for the default model.")
    if slash and not model.strip():
        raise InvalidRequest("The name of the model ends after its provider.", hint="Write it as PROVIDER/NAME.")


class Target(msgspec.Struct, frozen=True):
    """Where an attempt is sent: a model at an instance.

    Attributes:
        instance: The instance.
        model: The model's name there, without the provider.
        place: Index of the target in its alias; 0 if no alias was used.

    Since: 0.1.
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
    """The core's counts and health of an instance. Plugins only read it.

    Attributes:
        instance: The description.
        in_flight: Attempts that are open now.
        attempts: Attempts that were sent since the start.
        failures: How many of these ended with an error.
        streak: Failures since the last success.
        latency: Moving average (weight 0.2) of the duration of successful attempts in seconds; None before the first.
        health: Its health according to checks and traffic.
        error: The last failure in one sentence; empty while it is healthy.
        draining: True when it takes no new attempts.
        seen: Clock time of the last success or check; None before the first.
        sick: Clock time of the failure that made it unhealthy; None while it is not, or if its provider reported it.
        models: Its models by their ids, from its latest list; None before the first list.
        transport: The transport of its requests; None before the first attempt.

    Since: 0.1.
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
        """How its connections are used; None before the first attempt, or if the transport does not report it."""
        return self.transport.stats() if isinstance(self.transport, Pooled) else None

    def succeeded(self, seconds: float, now: float) -> None:
        """Count a success that took ``seconds`` and ended at the clock time ``now``; it counts as a check, too."""
        self.seen = now
        self.sick = None
        self.streak = 0
        self.health = "healthy"
        self.error = ""
        self.latency = seconds if self.latency is None else 0.8 * self.latency + 0.2 * seconds

    def failed(self, reason: str, *, sick: bool, now: float | None = None) -> None:
        """Count a failure at the clock time ``now``; ``sick``: the cause is the instance and not the request."""
        self.failures += 1
        if sick:
            self.streak += 1
            self.sick = now
            self.error = reason
            self.health = "unhealthy"


Watcher = Callable[[Literal["added", "draining", "removed"], Instance], None]


class Instances:
    """The current instances; they are added and removed while calls run."""

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
        """Add a new instance.

        Raises:
            ValueError: An instance with this id exists already.
        """
        if any(known.id == instance.id for known in self._states):
            raise ValueError(f"instance {instance.id!r} exists already")
        self._states[instance] = InstanceState(instance)
        self._changed("added", instance)

    def drain(self, instance: Instance) -> None:
        """Send no new attempts to an instance; it is removed when its last attempt has ended."""
        state = self._states[instance]
        state.draining = True
        self._changed("draining", instance)
        self.settle(state)

    def settle(self, state: InstanceState) -> None:
        """Remove a draining instance that has no open attempts."""
        if state.draining and state.in_flight == 0 and state.instance in self._states:
            del self._states[state.instance]
            self._changed("removed", state.instance)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` at every change from now on; returns a function that stops this."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def state(self, instance: Instance) -> InstanceState:
        """Return the counts and health of an instance."""
        return self._states[instance]

    def find(self, instance: Instance) -> InstanceState | None:
        """Return the counts and health of an instance; None when it was removed."""
        return self._states.get(instance)

    def serves(self, instance: Instance) -> bool:
        """Return whether an instance exists and takes new attempts."""
        state = self._states.get(instance)
        return state is not None and not state.draining

    def report(self, instance: Instance, health: HealthStatus, error: str = "") -> None:
        """Set the health of an instance; for providers that run it themselves and so know more than a check."""
        state = self._states.get(instance)
        if state is not None:
            state.health, state.error, state.sick = health, error, None

    def of(self, provider: str) -> tuple[InstanceState, ...]:
        """Return the instances of a provider that take new attempts, in the order in which they were added."""
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
    """Return the error for the use of an instance that was removed."""
    return Draining(f"The instance {instance.id} was removed.")
