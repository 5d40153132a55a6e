"""No test gets lost while the code moves: every test of before is here under its new id, or it says why it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "test_ids"
GONE = "gone: "


def rules() -> dict[str, str]:
    """Return the map: an old file or test id, and its new one or the reason why it is gone."""
    lines = (HERE / "moves.txt").read_text().splitlines()
    pairs = (line.split(" -> ", 1) for line in lines if line and not line.startswith("#"))
    return dict(map(tuple, pairs))  # type: ignore[arg-type]


def moved(test: str, rules: dict[str, str]) -> str:
    """Return today's id of a test of before. The rule of a single test wins over that of its class and of its file."""
    head, tail = test, ""
    while head:
        if head in rules:
            return rules[head] if rules[head].startswith(GONE) else rules[head] + tail
        head, separator, last = head.rpartition("::")
        tail = separator + last + tail
    return test


def collected(root: Path) -> set[str]:
    """Return the ids of all tests that pytest finds, without their parameters."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.partition("[")[0] for line in listed if "::" in line}


@pytest.mark.skipif(not os.environ.get("LOCALAGENT_FULL"), reason="collects every test; runs in `nox -s full`")
def test_every_test_of_before_is_here(root: Path) -> None:
    """``before.txt`` lists them, ``moves.txt`` says where they went."""
    known = rules()
    today = {moved(test, known) for test in (HERE / "before.txt").read_text().splitlines()}

    assert sorted(test for test in today - collected(root) if not test.startswith(GONE)) == []


def test_every_rule_is_used() -> None:
    """A rule for what never was is a mistake."""
    before = (HERE / "before.txt").read_text().splitlines()
    known = {"::".join(test.split("::")[:parts]) for test in before for parts in (1, 2, 3)}

    assert sorted(set(rules()) - known) == []


def test_a_rule_of_a_test_wins_over_that_of_its_file() -> None:
    """Files, classes and single tests can move; what has no rule stays."""
    known = {"a.py": "b.py", "a.py::TestX": "c.py::TestY", "a.py::test_z": "gone: it tested nothing"}

    assert moved("a.py::test_one", known) == "b.py::test_one"
    assert moved("a.py::TestX::test_two", known) == "c.py::TestY::test_two"
    assert moved("a.py::test_z", known) == "gone: it tested nothing"
    assert moved("d.py::test_one", known) == "d.py::test_one"
