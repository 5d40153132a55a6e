"""The forms of a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from machine import Machine
from measure import Spread
from report import BEGIN, END, Report, Row, write_into

MACHINE = Machine(
    "CPython 3.13.0", "Linux x86_64", 2, (0.5, 1.5), Spread(1200, 1000, 2100), 1000, {"aiohttp": "3.14.5"}
)


def row(figure: float, target: float | None, normalised: float | None = None) -> Row:
    """A row with this figure."""
    other = None if normalised is None else Spread.of([normalised])
    return Row(case="chat", what="x", figure=Spread(figure, 0.5, 2), normalised=other, target=target)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (row(1.25, 1.25), "reached"),
        (row(1.26, 1.25), "not reached"),
        (row(30, 25, 24), "reached when normalised"),
        (row(30, 25, 26), "not reached"),
        (row(3, None), ""),
    ],
)
def test_a_verdict_is_a_word(made: Row, verdict: str) -> None:
    """The median decides; a row without a target has no verdict."""
    assert made.verdict == verdict


def test_the_table_has_a_line_for_every_row() -> None:
    """Each line has as many cells as the head."""
    lines = Report(MACHINE, 15, [row(1.3, 1.25), row(2, None)]).markdown().split("\n\n")[1].splitlines()

    assert {line.count("|") for line in lines} == {9}
    assert lines[2] == "| chat | x |  | 1.3 x (0.5 to 2) |  | at most 1.25 x | not reached |  |"


def test_the_json_has_every_verdict() -> None:
    """A program that reads the report does not have to judge."""
    document = json.loads(Report(MACHINE, 15, [row(1.3, 1.25)]).json())

    assert document["rows"][0]["verdict"] == "not reached"
    assert document["machine"]["cpus"] == 2


def test_a_report_replaces_the_one_before(tmp_path: Path) -> None:
    """What stands around the markers of the page stays."""
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nbelow\n")

    write_into(page, Report(MACHINE, 15, [row(1.3, 1.25)]))

    text = page.read_text()
    assert "old" not in text
    assert text.startswith(f"# Title\n\n{BEGIN}\n\nCPython 3.13.0")
    assert text.endswith(f"|\n{END}\n\nbelow\n")


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    """It is an error to have nowhere to write."""
    page = tmp_path / "page.md"
    page.write_text("# Title\n")

    with pytest.raises(ValueError, match="markers"):
        write_into(page, Report(MACHINE, 15, []))
