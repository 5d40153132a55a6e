"""The plugin: counts every operation of the pipeline, and operations of other code that are given to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from localagent import Call, LocalAgentError, Metric, Plugin, Sample, Stats, Usage, hookimpl
from localagent.reporting import resident_bytes
from localagent_metrics_summary.instruments import INSTRUMENTS, samples
from localagent_metrics_summary.recorder import Recorder
from localagent_metrics_summary.records import OperationRecord, Summary, summaries
from localagent_metrics_summary.settings import SummarySettings
from localagent_metrics_summary.table import table
from localagent_metrics_summary.tallies import Tallies
from localagent_metrics_summary.window import Window

MEMORY_SECONDS = 1.0
_WITHOUT_ANSWER = ("failed", "refused")


class SummaryPlugin(Plugin):
    """Counts, rates and percentiles of all operations, in constant memory.

    Attributes:
        recorder: Writes the history; None if none is kept.
    """

    name = "metrics-summary"
    settings_class = SummarySettings
    settings: SummarySettings
    survives_reload = True
    needs_usage = True
    instruments = INSTRUMENTS
    recorder: Recorder | None = None

    async def __aenter__(self) -> Self:
        self._tallies = Tallies(self.settings)
        self._window = Window(self.settings.window)
        self._recent: deque[tuple[Metric, float, int, int]] = deque(maxlen=self.settings.recent)
        self._memory, self._memory_read = 0, -MEMORY_SECONDS
        self._clock = self.core.clock
        if self.settings.history:
            self.recorder = Recorder(self.core, self.settings, lambda: Stats(self.collect_stats()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.recorder is not None:
            await self.recorder.aclose()
            self.recorder = None

    @hookimpl
    def record_metric(self, call: Call, metric: Metric) -> None:
        """Count an operation that has ended."""
        self._count(metric)

    @hookimpl
    def collect_stats(self) -> Sequence[Sample]:
        """Report all counts, rates and histograms."""
        return list(samples(self._tallies, self._window.rates(self.core.clock())))

    @property
    def recent(self) -> Sequence[OperationRecord]:
        """The latest operations, oldest first."""
        epoch = self.core.wall_time() - self._clock()  # of the monotonic clock
        return tuple(_record(*one, epoch) for one in self._recent)

    def summary(self) -> Summary:
        """Return the summary of all operations of this process."""
        return summaries(self.collect_stats())[""]

    def summaries(self, by: str) -> dict[str, Summary]:
        """Return the summaries of this process, grouped by operation, provider, model, instance or tenant."""
        return summaries(self.collect_stats(), by)

    def stats_table(self, stats: Stats, by: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return a table of summaries, for ``localagent stats``.

        Args:
            stats: What all processes of a server report.
            by: operation, provider, model, instance or tenant.
        """
        return table(summaries(stats, by), by)

    @contextmanager
    def start_operation(self, provider: str, operation: str) -> Iterator[OperationRecord]:
        """Count an operation of code outside the pipeline; it ends with the block, and an exception is its error.

        Args:
            provider: Whose operation it is.
            operation: Its name; few different ones, because each is counted separately.

        Yields:
            The record. Set its ``tokens_processed`` and ``cache_hit`` in the block.

        Example:
            ::

                with plugin.start_operation("search", "index") as record:
                    record.tokens_processed = index(documents)
        """
        record = OperationRecord(provider, operation, self.core.wall_time())
        began = self.core.clock()
        try:
            yield record
        except BaseException as error:  # any code: counted and raised again
            record.error = error.code if isinstance(error, LocalAgentError) else type(error).__name__
            raise
        finally:
            self.end_operation(record, self.core.clock() - began)

    def end_operation(self, record: OperationRecord, duration: float) -> None:
        """Count an operation for which no block can be used.

        Args:
            record: The operation, with its start.
            duration: Its seconds.
        """
        record.end_time, record.duration = record.start_time + duration, duration
        self._count(_metric_of(record))
        record.memory_usage = self._memory

    def _count(self, metric: Metric) -> None:
        now = self._clock()
        tokens = self._tallies.add(metric)
        self._window.add(now, tokens, metric.status in _WITHOUT_ANSWER)
        if now - self._memory_read >= MEMORY_SECONDS:
            self._memory, self._memory_read = resident_bytes(), now
        self._recent.append((metric, now, tokens, self._memory))  # made a record when somebody reads it
        if self.recorder is not None:
            self.recorder.wake()


def _record(metric: Metric, ended: float, tokens: int, memory: int, epoch: float) -> OperationRecord:
    """Return the record of an operation that ended at the clock time ``ended``."""
    end = epoch + ended
    return OperationRecord(
        provider=metric.model.partition("/")[0],
        operation=metric.operation,
        start_time=end - metric.seconds,
        end_time=end,
        duration=metric.seconds,
        tokens_processed=tokens,
        cache_hit=bool(metric.cached),
        error=metric.code or None,
        memory_usage=memory,
    )


def _metric_of(record: OperationRecord) -> Metric:
    """Return the figures of an operation outside the pipeline."""
    return Metric(
        operation=record.operation,
        status="ok" if record.error is None else "failed",
        model=f"{record.provider}/",
        instance="",
        seconds=record.duration or 0.0,
        first=None,
        attempts=0,
        usage=Usage(total_tokens=record.tokens_processed) if record.tokens_processed else None,
        cached="outside" if record.cache_hit else "",
        coalesced=False,
        code=record.error or "",
        call="",
        parent="",
        tenant="",
    )
