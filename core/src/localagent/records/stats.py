"""What the core and the plugins report of themselves: instruments, their samples, and tables of samples.

The terms are those of OpenTelemetry: an *instrument* is a named gauge, counter or histogram; a *sample* is its value
for one set of labels. Names are lower case, with dots, and without the prefix ``localagent`` and without their unit,
which exporters add: ``cache.size`` in bytes may be shown as ``localagent_cache_size_bytes``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, Self

import msgspec

from localagent.records.histogram import Histogram

InstrumentKind = Literal["counter", "gauge", "histogram"]
Value = int | float | Histogram


class Instrument(msgspec.Struct, frozen=True):
    """A named value that is reported for each set of labels.

    Example:
        ::

            QUEUED = Instrument("queue.waiting", "gauge", "Calls that wait in the queue.", labels=("plugin",))
            sample = QUEUED.sample(3, "limit-queue")

    Attributes:
        name: The name: two or more words in lower case, joined by dots or underscores.
        kind: ``counter`` (only grows, until its process or plugin starts again), ``gauge`` or ``histogram``.
        description: One sentence.
        unit: ``seconds``, ``bytes``, ``tokens`` or ``ratio``; empty for plain counts.
        labels: The names of the labels, in the order of a sample's values.
        detail: Those labels that may have many values; exporters for which each series has a price leave them out, and
            merge the samples.
        merge: How the values of several processes become one: their ``sum``, or the ``max``, for shares, and for
            values that all processes report of the same file.

    Since: 0.1.
    """

    name: str
    kind: InstrumentKind
    description: str
    unit: Literal["", "seconds", "bytes", "tokens", "ratio"] = ""
    labels: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    merge: Literal["sum", "max"] = "sum"

    def sample(self, value: Value, *labels: str) -> Sample:
        """Return a sample.

        Args:
            value: The value; a ``Histogram`` for a histogram.
            labels: The values of the labels, in their order; names from the settings and codes, never a user's text.
        """
        return Sample(self, value, labels)


class Sample(msgspec.Struct, frozen=True):
    """The value of an instrument for one set of labels.

    Attributes:
        instrument: The instrument.
        value: The value.
        labels: The values of the labels, in the order of ``Instrument.labels``.

    Since: 0.1.
    """

    instrument: Instrument
    value: Value
    labels: tuple[str, ...] = ()


class Stats:
    """A table of samples: one value for each instrument and set of labels.

    Args:
        samples: The samples; those of the same instrument and labels are merged.

    Since: 0.1.
    """

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._rows: dict[Instrument, dict[tuple[str, ...], Value]] = {}
        for sample in samples:
            self.add(sample)

    def __iter__(self) -> Iterator[Sample]:
        for instrument, row in self._rows.items():
            for labels, value in row.items():
                yield Sample(instrument, value, labels)

    def __len__(self) -> int:
        """Return the number of samples."""
        return sum(map(len, self._rows.values()))

    def rows(self) -> Iterator[tuple[Instrument, dict[tuple[str, ...], Value]]]:
        """Yield each instrument with its values by labels."""
        yield from self._rows.items()

    def add(self, sample: Sample) -> None:
        """Add a sample, as its instrument says: values add up, or the largest one stays."""
        row = self._rows.setdefault(sample.instrument, {})
        known = row.get(sample.labels)
        if known is None:
            row[sample.labels] = _copied(sample.value)
        elif isinstance(known, Histogram):
            if isinstance(sample.value, Histogram):
                known.merge(sample.value)
        elif not isinstance(sample.value, Histogram):
            largest = sample.instrument.merge == "max"
            row[sample.labels] = max(known, sample.value) if largest else known + sample.value

    def merge(self, other: Iterable[Sample]) -> None:
        """Add the samples of another process."""
        for sample in other:
            self.add(sample)

    def coarse(self, detail: Collection[str] = ()) -> Stats:
        """Return the table without the labels that may have many values; samples that become equal are merged.

        Args:
            detail: Such labels that are kept nevertheless.
        """
        made = Stats()
        for instrument, row in self._rows.items():
            kept = [one for one in instrument.labels if one not in instrument.detail or one in detail]
            places = [instrument.labels.index(one) for one in kept]
            coarser = msgspec.structs.replace(instrument, labels=tuple(kept), detail=())
            for labels, value in row.items():
                made.add(Sample(coarser, value, tuple(labels[place] for place in places)))
        return made

    def counted(self) -> Stats:
        """Return only counters and histograms: what remains of a process or a plugin that has ended."""
        return Stats(sample for sample in self if sample.instrument.kind != "gauge")

    def value(self, name: str, **labels: str) -> Any:
        """Return the value of an instrument: the sum, or merged histogram, of all samples that have these labels.

        Args:
            name: The instrument's name.
            labels: Values of labels; those that are not given may have any value.

        Returns:
            The value; None if there is no such sample.
        """
        chosen = Stats(
            Sample(sample.instrument, sample.value)
            for sample in self
            if sample.instrument.name == name
            and labels.items() <= dict(zip(sample.instrument.labels, sample.labels, strict=True)).items()
        )
        return next((sample.value for sample in chosen), None)

    def to_builtins(self) -> list[Any]:
        """Return the table as lists and objects that JSON can express."""
        return [
            [msgspec.to_builtins(instrument), [[labels, msgspec.to_builtins(value)] for labels, value in row.items()]]
            for instrument, row in self._rows.items()
        ]

    @classmethod
    def from_builtins(cls, rows: Any) -> Self:
        """Return the table that ``to_builtins`` returned, also after a way through JSON.

        Raises:
            msgspec.ValidationError: It is not such a table.
        """
        made = cls()
        for instrument, row in msgspec.convert(rows, list[tuple[Instrument, list[tuple[tuple[str, ...], Any]]]]):
            for labels, value in row:
                read = msgspec.convert(value, Histogram, strict=False) if isinstance(value, dict) else value
                made.add(Sample(instrument, read, labels))
        return made


def _copied(value: Value) -> Value:
    """Return a histogram's copy, which can be added to; numbers as they are."""
    if not isinstance(value, Histogram):
        return value
    return Histogram(dict(value.buckets), value.count, value.sum, value.least, value.most)
