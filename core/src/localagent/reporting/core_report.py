"""The samples of one running core and of its plugins: calls, instances, connections, background work."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, get_args

from localagent.errors import InternalError
from localagent.pipeline.dispatch import collect_now
from localagent.records.instances import HealthStatus, InstanceState
from localagent.records.stats import Instrument, Sample

if TYPE_CHECKING:
    from localagent.calls.engine import CallEngine
    from localagent.instances.fleet import Fleet
    from localagent.pipeline.pipeline import Pipeline
    from localagent.timing.services import LoopServices

_BY_INSTANCE = ("provider", "instance")

CALLS = Instrument("calls.active", "gauge", "Calls in progress, without streams.")
STREAMS = Instrument("streams.active", "gauge", "Open streams.")
FLIGHTS = Instrument("flights.open", "gauge", "Flights that identical calls can join.")
TASKS = Instrument("background.tasks", "gauge", "Background tasks that are running.")
DROPPED = Instrument("background.dropped", "counter", "Background tasks that were dropped because too many ran.")
FAILURES = Instrument("plugin.failures", "counter", "Failures of plugins that were not passed to a user.",
                      labels=("plugin", "hook"))  # fmt: skip
IN_FLIGHT = Instrument("instance.in_flight", "gauge", "Attempts that are open.", labels=_BY_INSTANCE)
ATTEMPTS = Instrument("instance.attempts", "counter", "Attempts that were sent.", labels=_BY_INSTANCE)
FAILED = Instrument("instance.failures", "counter", "Attempts that ended with an error.", labels=_BY_INSTANCE)
HEALTH = Instrument("instance.health", "gauge", "How many processes see the instance in this state.",
                    labels=(*_BY_INSTANCE, "state"))  # fmt: skip
POOL = Instrument("pool.connections", "gauge", "Connections, by their state: active or idle.",
                  labels=(*_BY_INSTANCE, "state"))  # fmt: skip
WAITING = Instrument("pool.waiting", "gauge", "Requests that wait for a free connection.", labels=_BY_INSTANCE)
LIMIT = Instrument("pool.limit", "gauge", "The maximum number of connections.", labels=_BY_INSTANCE)
UTILISATION = Instrument("pool.utilisation", "gauge", "The share of the limit that is active; of the busiest process.",
                         unit="ratio", labels=_BY_INSTANCE, merge="max")  # fmt: skip
OPENED = Instrument("pool.opened", "counter", "Connections that were opened.", labels=_BY_INSTANCE)
HANDSHAKES = Instrument("pool.handshakes", "counter", "TLS handshakes that were completed.", labels=_BY_INSTANCE)
REUSED = Instrument("pool.reused", "counter", "Requests that were sent over a kept connection.", labels=_BY_INSTANCE)
REFUSED = Instrument("pool.failures", "counter", "Connections that could not be opened.", labels=_BY_INSTANCE)
WAITED = Instrument("pool.wait", "counter", "Time that requests have waited for a free connection.", unit="seconds",
                    labels=_BY_INSTANCE)  # fmt: skip
TRANSPORTS = Instrument("transports.open", "gauge", "Open transports (sessions with an instance).")
PLUGINS = Instrument("plugins.active", "gauge", "Active plugins.", merge="max")

CORE_INSTRUMENTS = (
    CALLS, STREAMS, FLIGHTS, TASKS, DROPPED, FAILURES, IN_FLIGHT, ATTEMPTS, FAILED, HEALTH, POOL, WAITING, LIMIT,
    UTILISATION, OPENED, HANDSHAKES, REUSED, REFUSED, WAITED, TRANSPORTS, PLUGINS,
)  # fmt: skip
"""The instruments of a running core."""


def plugin_samples(pipeline: Pipeline, without: Container[str] = ()) -> Iterator[Sample]:
    """Yield the samples that the plugins report; what is not a proper sample is a failure of its plugin.

    Args:
        pipeline: The plugins.
        without: Plugins that are not asked.
    """
    for step in pipeline.steps["collect_stats"]:
        if step.plugin in without:
            continue
        for samples in collect_now((step,)):
            for sample in samples:
                if isinstance(sample, Sample) and len(sample.labels) == len(sample.instrument.labels):
                    yield sample
                else:
                    pipeline.failures.note(step, InternalError(f"Plugin {step.plugin} reported no proper sample."))


def core_samples(services: LoopServices, pipeline: Pipeline, fleet: Fleet, engine: CallEngine) -> Iterator[Sample]:
    """Yield the samples of one running core.

    Args:
        services: Time and background work.
        pipeline: The plugins.
        fleet: The instances and their connections.
        engine: The calls.
    """
    yield CALLS.sample(len(engine.calls))
    yield STREAMS.sample(len(engine.streams))
    yield FLIGHTS.sample(engine.flights.open if engine.flights else 0)
    yield TASKS.sample(len(services.background))
    yield DROPPED.sample(services.background.dropped)
    for (plugin, hook), count in pipeline.failures.counts.items():
        yield FAILURES.sample(count, plugin, hook)
    yield TRANSPORTS.sample(len(fleet.connections))
    yield PLUGINS.sample(len(pipeline.plugins))
    for instance in fleet.instances:
        yield from _instance_samples(fleet.instances.state(instance))


def _instance_samples(state: InstanceState) -> Iterator[Sample]:
    labels = (state.instance.provider, state.instance.id)
    yield IN_FLIGHT.sample(state.in_flight, *labels)
    yield ATTEMPTS.sample(state.attempts, *labels)
    yield FAILED.sample(state.failures, *labels)
    for health in get_args(HealthStatus):
        yield HEALTH.sample(int(state.health == health), *labels, health)
    pool = state.pool
    if pool is None:
        return
    yield POOL.sample(pool.active, *labels, "active")
    yield POOL.sample(pool.idle, *labels, "idle")
    yield WAITING.sample(pool.waiting, *labels)
    yield LIMIT.sample(pool.limit, *labels)
    yield UTILISATION.sample(pool.utilisation, *labels)
    yield OPENED.sample(pool.opened, *labels)
    yield HANDSHAKES.sample(pool.handshakes, *labels)
    yield REUSED.sample(pool.reused, *labels)
    yield REFUSED.sample(pool.failed, *labels)
    yield WAITED.sample(pool.waited, *labels)
