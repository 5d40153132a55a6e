"""The rows of a report, and the forms that it is written in."""

from __future__ import annotations

from pathlib import Path

import msgspec
from machine import Machine
from measure import Spread

BEGIN = "<!-- report: made by the harness -->"
END = "<!-- end of report -->"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report.

    Attributes:
        case: The case it belongs to.
        what: What was measured.
        cost: CPU time of one operation, in microseconds; None where the row is no time.
        figure: What the target speaks of.
        unit: The figure's unit: ``x`` for a ratio, ``us``, ``ns``, or what was counted.
        normalised: The figure as it would be if the calibration loop had taken its reference time.
        target: What the figure's median may be at most; None for rows that are there to be compared with.
        note: What a reader must know.
    """

    case: str
    what: str
    cost: Spread | None = None
    figure: Spread | None = None
    unit: str = "x"
    normalised: Spread | None = None
    target: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say whether the target was reached; empty without one."""
        if self.target is None or self.figure is None:
            return ""
        if self.figure.median <= self.target:
            return "reached"
        normalised = self.normalised is not None and self.normalised.median <= self.target
        return "reached when normalised" if normalised else "not reached"


class Report(msgspec.Struct, frozen=True):
    """A run of the benchmarks.

    Attributes:
        machine: Where it ran.
        rounds: Rounds of each comparison.
        rows: What was measured.
    """

    machine: Machine
    rounds: int
    rows: list[Row]

    def json(self) -> bytes:
        """Return the report as JSON, each row with its verdict."""
        document = msgspec.to_builtins(self)
        for row, built in zip(self.rows, document["rows"], strict=True):
            built["verdict"] = row.verdict
        return msgspec.json.format(msgspec.json.encode(document), indent=2)

    def markdown(self) -> str:
        """Return the report as Markdown: the machine in words, then a table."""
        lines = [HEAD, RULE, *map(_line, self.rows)]
        return f"{_words(self)}\n\n" + "\n".join(lines) + "\n"


HEAD = "| case | what | CPU, us | figure | normalised | target | verdict | note |"
RULE = "|---|---|---|---|---|---|---|---|"


def _line(row: Row) -> str:
    target = "" if row.target is None else f"at most {_number(row.target)} {row.unit}"
    figure, normalised = _spread(row.figure, row.unit), _spread(row.normalised, row.unit)
    cells = [row.case, row.what, _spread(row.cost), figure, normalised, target, row.verdict, row.note]
    return "| " + " | ".join(cells) + " |"


def _spread(spread: Spread | None, unit: str = "") -> str:
    if spread is None:
        return ""
    middle = f"{_number(spread.median)} {unit}".rstrip()
    return middle if spread.low == spread.high else f"{middle} ({_number(spread.low)} to {_number(spread.high)})"


def _number(value: float) -> str:
    """Write a number with three digits that count."""
    if value == int(value) or abs(value) >= 100:
        return f"{value + 0.0:.0f}"  # without the sign of a negative zero
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.3f}"


def _words(report: Report) -> str:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.python} on {machine.system}, {machine.cpus} CPUs; {versions}.\n"
        f"Load average {machine.load[0]:.1f} at the beginning and {machine.load[1]:.1f} at the end; "
        f"{report.rounds} rounds.\n"
        f"The calibration loop took {_spread(machine.calibration, 'us')}; reference {_number(machine.reference)} us."
    )


def write_into(page: Path, report: Report) -> None:
    """Put a report between the markers of a page.

    Raises:
        ValueError: The page has no markers.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} lacks the markers {BEGIN} and {END}.")
    page.write_text(f"{before}{BEGIN}\n\n{report.markdown()}{END}{after}")
