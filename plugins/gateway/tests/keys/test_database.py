"""The store of keys beside readers of the same process: opening it takes no lock from them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from localagent_gateway.keys import database
from localagent_gateway.keys.store import KeyStore

# SQLite's lock on a file that is open, https://www.sqlite.org/src/file/src/os_unix.c
LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)"


@pytest.mark.skipif(os.name != "posix", reason="locks that a close drops are those of POSIX")
@pytest.mark.parametrize("way", ["keys", "link"])
def test_making_and_revoking_keys_takes_no_lock_from_a_reader(way: str, tmp_path: Path) -> None:
    """No other process can have a store to itself that this one still reads."""
    KeyStore(tmp_path / "keys", lambda: 1.0).create("one")
    (tmp_path / "link").symlink_to("keys", target_is_directory=True)
    with closing(database.opened_to_read(tmp_path / "keys")) as reading:
        assert len(database.records(reading)) == 1
        store = KeyStore(tmp_path / way, lambda: 1.0)
        store.create("two")
        store.revoke("one")
        path = tmp_path / "keys" / database.FILE_NAME
        other = subprocess.run([sys.executable, "-c", LOCK, path], stderr=subprocess.PIPE, check=False)
        assert b"BlockingIOError" in other.stderr
        assert len(database.records(reading)) == 2
