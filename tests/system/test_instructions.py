"""The count of instructions: it needs valgrind, and it is the same twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from instructions import instructions
from programs import Program


@pytest.mark.timeout(600)
def test_the_same_work_is_the_same_count(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hit costs between 50,000 and 500,000 instructions, and two counts of a run differ by less than 0.1 %."""
    program("valgrind")
    monkeypatch.chdir(Path(__file__).parents[2])
    few, many, again = (instructions("hit", number) for number in (10, 30, 30))
    assert 50_000 < (many - few) / 20 < 500_000
    assert abs(many - again) < 0.001 * many
