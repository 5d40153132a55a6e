"""What ``localagent doctor`` says about the files of keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from localagent_cli import Diagnosed, Finding
from localagent_gateway import GatewayPlugin, GatewaySettings
from localagent_gateway.keys.store import KeyStore, diagnosis


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "localagent" / "gateway"


def found(folder: Path, **settings: Any) -> list[Finding]:
    return diagnosis(folder, GatewaySettings(**settings))


def test_where_there_never_were_keys_nothing_is_said(folder: Path) -> None:
    """And nothing is made."""
    assert found(folder) == []
    assert not folder.exists()


def test_the_doctor_asks_the_gateway() -> None:
    """It is a plugin that knows what can be wrong with it."""
    assert issubclass(GatewayPlugin, Diagnosed)


def test_good_keys_are_counted(folder: Path, keys: KeyStore) -> None:
    """Revoked and expired ones are not good."""
    keys.create("a")
    keys.create("b")
    keys.revoke("b")
    keys.create("c", expires=1.0)
    assert [(one.level, one.text) for one in found(folder)] == [("ok", "1 of 3 are valid.")]


def test_that_no_key_is_good_any_more_is_told(folder: Path, keys: KeyStore) -> None:
    """Unless keys are never looked at."""
    keys.create("a")
    keys.revoke("a")
    (one,) = found(folder)
    assert (one.level, one.hint) == ("warn", "Run: localagent keys create --name NAME")
    assert found(folder, require_keys="never") == []


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("keys.db", None, "is missing"),
        ("pepper", None, "is missing"),
        ("pepper", bytes(32), "does not belong"),
        ("pepper", b"short", "32 bytes"),
        ("keys.db", b"no database " * 500, "damaged"),
        ("revocations", b"what?" + bytes(4091), "damaged"),
    ],
)
def test_files_that_are_missing_damaged_or_anothers_are_broken(
    folder: Path, keys: KeyStore, file: str, content: bytes | None, says: str
) -> None:
    """With how to fix it."""
    keys.create("a")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    (one,) = found(folder)
    assert (one.level, one.subject) == ("broken", "gateway keys")
    assert says in one.text
    assert one.hint


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
@pytest.mark.parametrize("file", ["keys.db", "pepper", "revocations"])
def test_a_file_that_others_may_read_is_broken(folder: Path, keys: KeyStore, file: str) -> None:
    """With the command that fixes it."""
    keys.create("a")
    (folder / file).chmod(0o644)
    assert ("broken", f"Run: chmod 600 {folder / file}") in [(one.level, one.hint) for one in found(folder)]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
@pytest.mark.parametrize(("above", "mode"), [(0, 0o777), (0, 0o770), (1, 0o777), (2, 0o777)])
def test_folders_in_which_others_may_replace_the_keys_are_broken(
    folder: Path, keys: KeyStore, above: int, mode: int
) -> None:
    """The folder itself, and those above it."""
    keys.create("a")
    place = (folder, *folder.parents)[above]
    place.chmod(mode)
    assert ("broken", f"Run: chmod go-w {place}") in [(one.level, one.hint) for one in found(folder)]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_folder_above_in_which_nobody_moves_what_is_not_theirs_is_fine(folder: Path, keys: KeyStore) -> None:
    """As /tmp is."""
    keys.create("a")
    folder.parent.chmod(0o1777)
    assert [one.level for one in found(folder)] == ["ok"]
