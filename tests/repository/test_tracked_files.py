"""No trace of a development machine is in the repository: no registry, no home folder, no key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Written so that this file does not match itself.
SUSPECTS = {
    "a registry's address": r"\b(?:files\.pythonhosted|pypi|registry\.npmjs|registry\.yarnpkg)\.(?:org|com)[/:]"
    r"|--(?:extra-)?index-url|--find-links|(?:UV|PIP)_(?:INDEX|EXTRA_INDEX|FIND_LINKS)",
    "a folder of somebody's machine": r"(?<![\w.])/(?:root|work|home/(?!user\b|you\b)\w+|Users/\w+)/",
    "a key": r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_]{20,}|\bAIza[\w-]{30,}|\bgh[pousr]_\w{30,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bhf_[A-Za-z]{30,}|\bpplx-\w{30,}|-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
MAY_SAY_SO = re.compile(r"canary", re.IGNORECASE)


def suspects(text: str) -> list[str]:
    """Return what a text holds that does not belong into the repository."""
    found = [(name, match) for name, pattern in SUSPECTS.items() for match in re.finditer(pattern, text)]
    return [f"{name}: {match[0]}" for name, match in found if not MAY_SAY_SO.search(line_of(text, match.start()))]


def line_of(text: str, position: int) -> str:
    return text[text.rfind("\n", 0, position) + 1 :].partition("\n")[0]


def test_no_tracked_file_holds_an_address_a_home_folder_or_a_key(tracked: list[Path], root: Path) -> None:
    """Lines that name a canary are free: the test kit needs secrets to look for."""
    texts = {path: path.read_bytes().decode(errors="replace") for path in tracked if path != Path(__file__)}

    assert [(str(path.relative_to(root)), found) for path, text in texts.items() for found in suspects(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "https://" + "pypi.org/simple",
        "uv pip install --index" + "-url x",
        "cd /" + "root/project",
        "open('/" + "home/ada/x')",
        "key = '" + "sk-" + "a1B2" * 6 + "'",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
    ],
)
def test_such_a_thing_is_found(text: str) -> None:
    """The check above can fail."""
    assert suspects(text)


@pytest.mark.parametrize(
    "text", ["CANARY = '" + "sk-" + "a1B2" * 6 + "'", "https://" + "example.org/work/", "/v1/models"]
)
def test_what_is_harmless_is_not_found(text: str) -> None:
    """Canaries, addresses of examples and paths of protocols stay."""
    assert suspects(text) == []


def test_no_lock_file_is_tracked(tracked: list[Path]) -> None:
    """uv.lock holds addresses; the pins of pyproject.toml do without."""
    assert [path.name for path in tracked if path.name in {"uv.lock", "poetry.lock", "pdm.lock"}] == []
