"""Counts the instructions of a call, a hit, a chunk and a gateway request.

Valgrind's callgrind counts what the processor executes in user space, so the same code gives the same count whatever
else the machine does. Each case runs with N and with 3 N operations; the difference, shared among 2 N, is one
operation's part, without start and end.

The same program with another hash seed has its objects at other places, which moves a count by up to 2 %. So each case
is counted with several seeds, and the table shows the median and the range.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import counted

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/instructions.md"
BEGIN, END = "<!-- counts: made by the harness -->", "<!-- end of counts -->"
NUMBER = 100
SEEDS = (0, 1, 2)
MOST_CHANGE = 0.01
ROW = re.compile(r"^\| (\w+) \| ([\d.]+) \| [\d.]+ to", re.MULTILINE)
COLLECTED = re.compile(r"Collected : (\d+)")


def instructions(case: str, number: int, seed: int = 0) -> int:
    """Return how many instructions a program executes that does a case's work so many times.

    Args:
        case: The case.
        number: How many times.
        seed: The seed of Python's hashes.

    Raises:
        RuntimeError: The program failed, or valgrind said no count.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", sys.executable]
        program = [str(Path(counted.__file__)), case, str(number)]
        fixed = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([*command, *program], env=fixed, capture_output=True, text=True, check=False)
    found = COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"{case} was not counted: {done.stderr[-2000:]}")
    return int(found[1])


def each(case: str, seed: int = 0, number: int = NUMBER) -> float:
    """Return how many instructions one more operation of a case costs."""
    return (instructions(case, 3 * number, seed) - instructions(case, number, seed)) / (2 * number)


def table(cases: list[str]) -> str:
    """Count cases and return the rows, in thousands of instructions."""
    lines = ["| one | thousand instructions | range | what |", "|---|---:|---|---|"]
    for case in cases:
        print(f"{case} ...", file=sys.stderr, flush=True)
        what = (counted.CASES[case].__doc__ or "").partition("\n")[0]
        counts = sorted(each(case, seed) / 1000 for seed in SEEDS)
        lines.append(f"| {case} | {statistics.median(counts):.1f} | {counts[0]:.1f} to {counts[-1]:.1f} | {what} |")
    return "\n".join(lines) + "\n"


def added(cases: list[str]) -> str:
    """Count what is added to a call and return the rows, in thousands of instructions; with the first seed only."""
    lines = ["| added to a call | thousand instructions |", "|---|---:|"]
    base = each("call", SEEDS[0])
    for case in cases:
        print(f"{case} ...", file=sys.stderr, flush=True)
        lines.append(f"| {case.replace(':', ' ')} | {(each(case, SEEDS[0]) - base) / 1000:.1f} |")
    return "\n".join(lines) + "\n"


def changes(page: str, rows: str) -> str:
    """Return a line for each case whose count differs from that in the page by more than 1 %.

    Args:
        page: The page with the earlier counts.
        rows: The rows as from ``table``.
    """
    before = {name: float(figure) for name, figure in ROW.findall(page)}
    found = []
    for name, figure in ROW.findall(rows):
        change = float(figure) / before[name] - 1 if before.get(name) else 0.0
        if abs(change) > MOST_CHANGE:
            found.append(f"{name}: {change:+.1%}, {before[name]} -> {figure} thousand instructions")
    return "\n".join(found) or f"No count has changed by more than {MOST_CHANGE:.0%}."


def count(only: list[str] | None, *, write_docs: bool) -> None:
    """Print the table of these cases, or of all, and what has changed since the documentation's page was written.

    Args:
        only: Names of cases.
        write_docs: Whether to put the table into the documentation's page.
    """
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed. Install it with: apt-get install valgrind")
    chosen = only or [*counted.CASES, *counted.ADDED]
    rows = table([case for case in chosen if case in counted.CASES])
    if extra := [case for case in chosen if case in counted.ADDED]:
        rows += "\n" + added(extra)
    print(rows)
    print(changes(PAGE.read_text(), rows))
    if write_docs:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        PAGE.write_text(f"{before}{BEGIN}\n\n{version}:\n\n{rows}\n{END}{after}")
