"""What is counted by instructions does its work, and its figures stand in a table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import counted
import instructions
import pytest
import run


@pytest.mark.parametrize("case", [*counted.CASES, *counted.ADDED])
def test_every_case_does_its_work(case: str) -> None:
    """Each checks its answers itself."""
    asyncio.run(counted.main(case, 3))


def test_the_part_of_one_operation_is_counted_without_start_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is the same for any number of operations falls out of the difference."""
    monkeypatch.setattr(
        instructions, "instructions", lambda case, number, seed: 5_000_000 + (2_500 + 100 * seed) * number
    )
    assert instructions.each("call") == 2_500
    assert instructions.table(["call"]).splitlines()[-1].startswith("| call | 2.6 | 2.5 to 2.7 |")


def test_the_table_is_put_into_its_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Between its markers; written twice it stands there once."""
    page = tmp_path / "page.md"
    page.write_text(f"Before\n{instructions.BEGIN}\nold\n{instructions.END}\nAfter\n")
    monkeypatch.setattr(instructions, "PAGE", page)
    monkeypatch.setattr(instructions, "instructions", lambda case, number, seed=0: number)
    monkeypatch.setattr("shutil.which", lambda name: name)
    for _ in range(2):
        instructions.count(["hit"], write_docs=True)
    text = page.read_text()
    assert (text.count("| hit |"), "old" in text, text.endswith("After\n")) == (1, False, True)


def test_what_is_added_to_a_call_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step or a plugin costs what a call with it costs more."""
    costs = {"call": 140_000, "step:pre_request": 146_500}
    monkeypatch.setattr(instructions, "instructions", lambda case, number, seed: costs[case] * number)
    assert instructions.added(["step:pre_request"]).splitlines()[-1] == "| step pre_request | 6.5 |"


def test_a_change_of_more_than_a_percent_is_a_row() -> None:
    """Smaller ones are no news, and new cases have nothing to be compared with."""
    page = "| call | 100.0 | 99.0 to 101.0 | Ask. |\n| hit | 50.0 | 50.0 to 50.0 | Hit. |\n"
    rows = "| call | 101.1 | 99.0 to 102.0 | Ask. |\n| hit | 50.4 | 50.0 to 50.0 | Hit. |\n"
    rows += "| miss | 9.0 | 9.0 to 9.0 | M. |\n"
    assert instructions.changes(page, rows) == "call: +1.1%, 100.0 -> 101.1 thousand instructions"
    assert instructions.changes(page, page) == "No count has changed by more than 1%."


def test_a_case_of_the_other_way_of_measuring_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence that names it."""
    with pytest.raises(SystemExit):
        run.arguments(["--instructions", "--only", "valkey"])
    assert "valkey is no case of instructions." in capsys.readouterr().err
