"""What is counted by instructions does its work, and its figures stand in a table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import counted
import instructions
import pytest
import run


@pytest.mark.parametrize("case", counted.CASES)
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
    monkeypatch.setattr(instructions, "instructions", lambda case, number, seed: number)
    monkeypatch.setattr("shutil.which", lambda name: name)
    for _ in range(2):
        instructions.count(["hit"], write_docs=True)
    text = page.read_text()
    assert (text.count("| hit |"), "old" in text, text.endswith("After\n")) == (1, False, True)


def test_a_case_of_the_other_way_of_measuring_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence that names it."""
    with pytest.raises(SystemExit):
        run.arguments(["--instructions", "--only", "valkey"])
    assert "valkey is no case of instructions." in capsys.readouterr().err
