"""The threat model names tests that exist, one for each threat."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/explanation/threat-model.md"


def test_every_test_that_the_threat_model_names_exists() -> None:
    """Each stands in a file of the gateway's tests under that name."""
    written = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    defined = set(re.findall(r"^ *(?:async )?def (test_\w+)\(", written, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert len(named) > 30
    assert named - defined == set()


def test_every_threat_has_a_test() -> None:
    """No row of the tables without one."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and not line.startswith("|---")]
    threats = [row for row in rows if not row.startswith("| threat |")]
    assert len(threats) > 20
    assert [row for row in threats if not re.search(r"`test_\w+`[^|]*\|$", row)] == []
