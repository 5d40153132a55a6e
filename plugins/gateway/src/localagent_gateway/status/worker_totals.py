"""The statistics of a worker over reloads: counters do not fall when a pipeline is replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from localagent import Instrument, Sample, Stats

if TYPE_CHECKING:
    from localagent.runtime import Runtime
    from localagent_gateway.logs.access_log import AccessLog

CONNECTIONS = Instrument("http.connections", "gauge", "Open connections of clients.")
REQUESTS = Instrument(
    "http.requests", "counter", "Requests that were answered, by class of status; ``left``: the client left.",
    labels=("status",),
)  # fmt: skip
INSTRUMENTS = (CONNECTIONS, REQUESTS)
"""The instruments of the gateway."""


class WorkerTotals:
    """Sums up the cores of one worker: the one in service, and those that still have requests or have ended."""

    def __init__(self) -> None:
        self._ended = Stats()

    def collect(self, runtimes: Iterable[Runtime]) -> Stats:
        """Return the statistics of all cores, including those that have ended.

        Args:
            runtimes: The running cores, newest first. A plugin that several of them share is asked once.
        """
        stats = Stats(self._ended)
        for place, (runtime, shared) in enumerate(_with_shared(runtimes)):
            stats.merge(runtime.collect_stats(without=shared, process=place == 0))
        return stats

    def end(self, runtime: Runtime, newer: Iterable[Runtime]) -> None:
        """Keep the counts of a core that is about to close.

        Args:
            runtime: The core.
            newer: The newer cores, which may share plugins with it.
        """
        *_, (_, shared) = _with_shared([*newer, runtime])
        self._ended.merge(runtime.collect_stats(without=shared, process=False).counted())


def own_samples(connections: int, access_log: AccessLog) -> Iterator[Sample]:
    """Yield the samples of the HTTP server."""
    yield CONNECTIONS.sample(connections)
    for status, count in access_log.answered.items():
        yield REQUESTS.sample(count, status)


def _with_shared(runtimes: Iterable[Runtime]) -> Iterator[tuple[Runtime, frozenset[str]]]:
    """Yield each core with the names of its plugins that a newer one has, too."""
    seen: set[int] = set()
    for runtime in runtimes:
        plugins = runtime.pipeline.plugins
        yield runtime, frozenset(name for name, plugin in plugins.items() if id(plugin) in seen)
        seen.update(map(id, plugins.values()))
