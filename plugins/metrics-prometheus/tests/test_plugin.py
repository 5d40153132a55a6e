"""``PrometheusPlugin``: the text that Prometheus reads."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from localagent import Client, Histogram, Instrument, Stats
from localagent.errors import SettingsError
from localagent_metrics_prometheus import PrometheusPlugin, PrometheusSettings, exposition
from localagent_metrics_prometheus.exposition import LIMITS
from localagent_testing import FakeCore

HITS = Instrument("cache.hits", "counter", "Hits.", labels=("plugin", "model"), detail=("model",))
SIZE = Instrument("cache.size", "gauge", "Size.", unit="bytes")
TOKENS = Instrument("tokens", "counter", "Tokens.", unit="tokens", labels=("type",))
SECONDS = Instrument("operation.duration", "histogram", "Seconds.", unit="seconds", labels=("model",))
ODD = 'a"b\\c\nd{e=f}, 模型'


def table() -> Stats:
    histogram = Histogram()
    for value in (0.0004, 0.3, 0.3, 2.5, 10_000.0):
        histogram.observe(value)
    return Stats([
        HITS.sample(3, "memory", "a"), HITS.sample(4, "memory", "b"), SIZE.sample(2048), TOKENS.sample(7, ODD),
        SECONDS.sample(histogram, "m"),
    ])  # fmt: skip


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under the name that it has in tests, too."""
    (entry,) = entry_points(group="localagent", name="metrics-prometheus")
    assert entry.load() is PrometheusPlugin
    assert PrometheusPlugin.name == "metrics-prometheus"


def test_names_have_prefix_unit_and_suffix() -> None:
    """As Prometheus wants them: base units, and ``_total`` for counters."""
    text = exposition(table())[0].decode()
    for line in ('localagent_cache_hits_total{plugin="memory"} 7.0', "localagent_cache_size_bytes 2048.0",
                 "# TYPE localagent_tokens_total counter", "# HELP localagent_cache_size_bytes Size."):  # fmt: skip
        assert line in text.splitlines()


@pytest.mark.parametrize(("accept", "read"), [
    ("", text_string_to_metric_families),
    ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", read_openmetrics),
])  # fmt: skip
def test_official_parsers_read_it(accept: str, read: object) -> None:
    """Both formats; odd characters in labels come back as they were."""
    text, content_type = exposition(table(), accept)
    families = {family.name: family for family in read(text.decode())}  # type: ignore[operator]
    (tokens,) = families["localagent_tokens"].samples
    assert (tokens.labels, tokens.value) == ({"type": ODD}, 7)
    assert ("openmetrics" in content_type) == bool(accept)


def test_buckets_are_exact() -> None:
    """Each upper limit counts exactly the values below it."""
    (family,) = [one for one in text_string_to_metric_families(exposition(table())[0].decode())
                 if one.name == "localagent_operation_duration_seconds"]  # fmt: skip
    counts = {sample.labels["le"]: sample.value for sample in family.samples if "le" in sample.labels}
    values = (0.0004, 0.3, 0.3, 2.5, 10_000.0)
    assert counts == {str(limit): sum(value < limit for value in values) for limit in LIMITS} | {"+Inf": 5}
    assert {sample.name.rpartition("_")[2]: sample.value for sample in family.samples if "le" not in sample.labels} == {
        "count": 5, "sum": pytest.approx(sum(values)),
    }  # fmt: skip


def test_details_are_shown_on_demand() -> None:
    """Labels with many values are left out unless the settings name them."""
    assert (
        'localagent_cache_hits_total{model="a",plugin="memory"} 3.0' in exposition(table(), "", ["model"])[0].decode()
    )


async def test_text_is_that_of_all_processes() -> None:
    """It asks the core, which asks all processes."""
    async with FakeCore() as core, core.plugged(PrometheusPlugin) as plugged:
        core.stats = table()
        text, content_type = await plugged.plugin.text()
    assert b"localagent_cache_size_bytes 2048.0" in text
    assert content_type.startswith("text/plain")


async def test_a_path_that_is_none_is_refused() -> None:
    """At start, with the table's name."""
    table = {"path": "metrics"}
    client = Client({"plugins": {"metrics-prometheus": table}}, plugins=[PrometheusPlugin], environment={})
    with pytest.raises(SettingsError, match="metrics-prometheus"):
        async with client:
            pass
    assert PrometheusSettings().path == "/metrics"
