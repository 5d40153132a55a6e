"""Dashboard and alert rules of metrics-prometheus name only series that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from reference.metrics_page import reported

from localagent import Histogram, Stats
from localagent.reporting import CORE_INSTRUMENTS, PROCESS_INSTRUMENTS
from localagent_metrics_prometheus import dashboard_path, exposition, rules_path

NAME = re.compile(r"(?<![:\w])localagent_[a-z0-9_]+")


def series() -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the names of all series with their labels, as metrics-prometheus shows them."""
    histogram = Histogram()
    histogram.observe(1.0)
    instruments = {*CORE_INSTRUMENTS, *PROCESS_INSTRUMENTS, *(one for _, some in reported() for one in some)}
    stats = Stats(
        one.sample(histogram if one.kind == "histogram" else 1, *("x" for _ in one.labels)) for one in instruments
    )
    for family in text_string_to_metric_families(exposition(stats)[0].decode()):
        for sample in family.samples:
            yield sample.name, frozenset(sample.labels)


@pytest.mark.parametrize("text", [dashboard_path().read_text(), rules_path().read_text()], ids=["dashboard", "rules"])
def test_every_name_exists(text: str) -> None:
    """A renamed instrument would leave an empty panel, and an alert that never fires."""
    known = {name for name, _ in series()}
    assert {name for name in NAME.findall(text) if name not in known} == set()


@pytest.mark.parametrize("text", [dashboard_path().read_text(), rules_path().read_text()], ids=["dashboard", "rules"])
def test_every_label_exists(text: str) -> None:
    """Labels in selectors and groupings are those of some series."""
    known = {label for _, labels in series() for label in labels}
    queries = text.replace('\\"', '"')
    used = set(re.findall(r"[{,]\s*(\w+)(?:=~|!=|!~|=)\"", queries))
    for group in re.findall(r"by \(([^)]+)\)", queries):
        used |= {label.strip() for label in group.split(",")}
    assert used - known == set()
    assert {"status", "instance", "le"} <= used


def test_panels_are_told_apart() -> None:
    """Each has an id and a title of its own, and stands beside the others."""
    panels = json.loads(dashboard_path().read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len({*places}) == len(places)
