"""``create_private_file``: a file that only this user may read, and a file that is there and is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from localagent.settings import create_private_file

fcntl = pytest.importorskip("fcntl", reason="locks that a close drops are those of POSIX")

LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def can_be_locked(path: Path) -> bool:
    """Say whether another process gets the lock of a file."""
    return not subprocess.run([sys.executable, "-c", LOCK, path], stderr=subprocess.DEVNULL, check=False).returncode


def test_only_this_user_may_read_it(tmp_path: Path) -> None:
    """Whatever the umask says; and nothing is left beside it."""
    before = os.umask(0)
    try:
        create_private_file(tmp_path / "a.db")
    finally:
        os.umask(before)
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "a.db"]


@pytest.mark.parametrize("way", ["file", "link", "../folder/file"])
def test_a_file_that_exists_keeps_content_mode_and_locks(way: str, tmp_path: Path) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("content")
    (folder / "file").chmod(0o640)
    (folder / "link").symlink_to("file")
    with (folder / "file").open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        create_private_file(folder / way)
        assert not can_be_locked(folder / "file")
    assert can_be_locked(folder / "file")
    assert (folder / "file").read_text() == "content"
    assert (folder / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_to_a_file_that_does_not_exist_is_followed(tmp_path: Path) -> None:
    """The link stays, and its target is private."""
    (tmp_path / "link").symlink_to("target")
    create_private_file(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600


def test_threads_that_create_the_same_file_keep_their_locks(tmp_path: Path) -> None:
    """Each locks the file as soon as it is there; the other ones that were creating it drop no lock."""
    barrier = threading.Barrier(8)
    lost = []

    def create_and_lock(path: Path) -> None:
        barrier.wait()
        create_private_file(path)
        files.append(path.open("r+b"))
        fcntl.lockf(files[-1], fcntl.LOCK_EX)

    for number in range(10):
        path, files = tmp_path / f"{number}.db", []
        threads = [threading.Thread(target=create_and_lock, args=(path,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lost += [path] if can_be_locked(path) else []
        for file in files:
            file.close()
    assert lost == []


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of an SD card."""

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    create_private_file(tmp_path / "a.db")
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "a.db"]


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """It is the caller who knows what rights a folder should have; the error names the file, always the same way."""
    with pytest.raises(FileNotFoundError) as raised:
        create_private_file(tmp_path / "missing" / "a.db")
    assert raised.value.filename == str(tmp_path / "missing" / "a.db")
    assert str(raised.value) == f"[Errno 2] No such file or directory: '{raised.value.filename}'"
