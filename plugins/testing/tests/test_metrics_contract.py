"""The contract of metrics plugins: a plain counter keeps it, and counters that are wrong in one way break it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from localagent import Instrument, Metric, Plugin, Sample, hookimpl
from localagent_testing import MetricsContract

OPERATIONS = Instrument("operations", "counter", "Operations.", labels=("status",))
TOKENS = Instrument("tokens", "counter", "Tokens.", unit="tokens", labels=("type",))


class PlainCounter(Plugin):
    """Counts operations by status, and tokens."""

    name = "metrics-plain"
    survives_reload = True
    instruments = (OPERATIONS, TOKENS)

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.counted: Counter[Any] = Counter()
        self.tokens = 0

    def key(self, metric: Metric) -> Any:
        return metric.status

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.counted[self.key(metric)] += 1
        self.tokens += metric.tokens

    @hookimpl
    def collect_stats(self) -> Sequence[Sample]:
        samples = [OPERATIONS.sample(count, *self.labels(key)) for key, count in self.counted.items()]
        return [*samples, TOKENS.sample(self.tokens, "unknown")]

    def labels(self, key: Any) -> tuple[str, ...]:
        return (key,)


class TestPlainCounter(MetricsContract):
    plugin = PlainCounter


class OnlyAnswers(PlainCounter):
    """Does not see what failed."""

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        if metric.status == "ok":
            self.counted["ok"] += 1


class ErrorOrNot(PlainCounter):
    """Takes what was cancelled for an answer, because it has no code."""

    def key(self, metric: Metric) -> Any:
        return "failed" if metric.code else "ok"


class CountsHitsAgain(PlainCounter):
    """Counts the tokens of cached answers as if a model had read and written them."""

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.counted[metric.status] += 1
        self.tokens += (metric.usage.total_tokens or 0) if metric.usage else 0


class TrustsUsage(PlainCounter):
    """Fails without usage."""

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.tokens += metric.usage.total_tokens  # type: ignore[union-attr, operator]
        self.counted[metric.status] += 1


class TrustsTheTotal(PlainCounter):
    """Does not know answers whose server reported only a part of the counts."""

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.counted[metric.status] += 1
        if metric.usage and not metric.cached and not metric.coalesced:
            self.tokens += metric.usage.total_tokens or 0


class ByName(PlainCounter):
    """Has a series for each model, however many there are."""

    instruments = (msgspec.structs.replace(OPERATIONS, labels=("status", "model")), TOKENS)

    def key(self, metric: Metric) -> Any:
        return metric.status, metric.model

    @hookimpl
    def collect_stats(self) -> Sequence[Sample]:
        return [self.instruments[0].sample(count, *key) for key, count in self.counted.items()]


class StartsAgain(PlainCounter):
    """Reports what came since the last report."""

    @hookimpl
    def collect_stats(self) -> Sequence[Sample]:
        samples = [OPERATIONS.sample(count, status) for status, count in self.counted.items()]
        self.counted.clear()
        return samples


class OneForAll(PlainCounter):
    """Keeps its counts in the class."""

    all_counted: ClassVar[Counter[Any]] = Counter()

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.counted = self.all_counted


class Undeclared(PlainCounter):
    """Reports what the documentation does not know."""

    instruments = ()


class ShoutsItsNames(PlainCounter):
    """Does not follow the convention of names."""

    instruments = (OPERATIONS, TOKENS, msgspec.structs.replace(OPERATIONS, name="localagent_Operations-Total"))


class LostAtReload(PlainCounter):
    """Starts at zero when settings are read again."""

    survives_reload = False


class SplitsNames(PlainCounter):
    """Takes a model's name for a word."""

    def key(self, metric: Metric) -> Any:
        provider, model = metric.model.split("/")
        assert model.isascii()
        assert provider
        return metric.status


WRONG: list[tuple[type[Plugin], str, dict[str, Any]]] = [
    (OnlyAnswers, "test_every_operation_is_counted_once", {}),
    (ErrorOrNot, "test_every_operation_is_counted_once", {}),
    (CountsHitsAgain, "test_tokens_are_those_of_models", {}),
    (TrustsTheTotal, "test_tokens_are_those_of_models", {}),
    (TrustsUsage, "test_no_operation_makes_it_fail", {"kind": "failed"}),
    (SplitsNames, "test_no_operation_makes_it_fail", {"kind": "refused at once"}),
    (SplitsNames, "test_names_may_be_odd", {"name": "naïve/模型"}),
    (ByName, "test_memory_does_not_grow_with_names", {}),
    (StartsAgain, "test_counters_never_fall", {}),
    (OneForAll, "test_each_plugin_counts_for_itself", {}),
    (Undeclared, "test_samples_are_declared", {}),
    (ShoutsItsNames, "test_samples_are_declared", {}),
    (LostAtReload, "test_a_reload_loses_nothing", {}),
]


@pytest.mark.parametrize(("kind", "promise", "arguments"), WRONG, ids=[f"{row[0].__name__}-{row[1]}" for row in WRONG])
async def test_a_wrong_counter_breaks_the_contract(
    kind: type[Plugin], promise: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    """Each promise can fail: a plugin that is wrong in one way does not keep it."""

    class Wrong(MetricsContract):
        plugin: ClassVar[type[Plugin]] = kind

    with pytest.raises(AssertionError):
        await getattr(Wrong(), promise)(tmp_path=tmp_path, **arguments)


def test_every_promise_is_broken_by_something() -> None:
    """A promise that no wrong plugin breaks protects nobody."""
    promises = {name for name in dir(MetricsContract) if name.startswith("test_")}
    assert promises == {promise for _, promise, _ in WRONG}
