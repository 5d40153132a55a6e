"""The temporary folder of a process that serves, and those of processes that were killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from localagent_gateway.processes.shared_resources import PREFIX, private_folder, remove_left_behind

HOLD = """
import sys
from localagent_gateway.processes.shared_resources import private_folder
with private_folder() as folder:
    (folder / "1").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone, here and in the processes that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_goes_with_its_owner(place: Path) -> None:
    """Nobody else can enter it."""
    with private_folder() as folder:
        assert (folder.parent, folder.stat().st_mode & 0o777) == (place, 0o700)
        (folder / "1").touch()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed(place: Path) -> None:
    """While it lives nobody touches its folder; after a kill the next that serves removes it."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().decode().strip())
        with private_folder():
            assert (held / "1").exists()
        process.kill()
    assert held.exists()
    with private_folder() as folder:
        assert list(place.iterdir()) == [folder]


def test_what_is_not_ours_stays(place: Path) -> None:
    """Files, links and folders of other names are left alone."""
    (place / f"{PREFIX}file").touch()
    (place / "elsewhere").mkdir()
    (place / f"{PREFIX}link").symlink_to(place / "elsewhere")
    before = sorted(place.iterdir())
    remove_left_behind()
    assert sorted(place.iterdir()) == before
