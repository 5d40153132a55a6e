"""The documents keep their form, and the commands that they promise are the ones that run."""

from __future__ import annotations

import re
from pathlib import Path

ASK = 'pip install uv && uv run localagent ask "Name three primary colours."'
TEST = "pip install uv && uv run nox"


def test_every_decision_says_what_it_cost(root: Path) -> None:
    """A decision page has a numbered title and the sections Context, Decision, What we gave up."""
    pages = sorted(root.glob("docs/decisions/[0-9]*.md"))

    assert pages
    for page in pages:
        title, *sections = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
        assert title.startswith(f"{int(page.name[:4])}. "), page.name
        assert sections == ["Context", "Decision", "What we gave up"], page.name


def test_the_readme_quotes_the_two_commands(root: Path) -> None:
    """The first answer and the whole test run are one line each."""
    lines = [line.removeprefix("$ ") for line in (root / "README.md").read_text().splitlines()]

    assert [command for command in (ASK, TEST) if command not in lines] == []


def test_ci_runs_the_test_command_of_the_readme(root: Path) -> None:
    """.ci/run holds the command as it is written."""
    assert TEST in (root / ".ci/run").read_text().splitlines()


def test_every_plugin_has_a_readme(plugins: list[Path]) -> None:
    """Each plugin's folder explains itself."""
    assert [plugin.name for plugin in plugins if not (plugin / "README.md").exists()] == []


def test_a_change_note_has_a_kind(root: Path) -> None:
    """Files in changes/ are named <what>.<kind>.md, and the kinds are those that changes/README.md lists."""
    kinds = set(re.findall(r"^\| `(\w+)` \|", (root / "changes/README.md").read_text(), re.MULTILINE))
    notes = [path.name for path in root.glob("changes/*") if path.name != "README.md"]

    assert kinds
    assert [note for note in notes if not re.fullmatch(rf"[a-z0-9-]+\.(?:{'|'.join(kinds)})\.md", note)] == []
