"""Revocations that could not be written to the database, for example because the disk is full.

They are in a file that got its full size when the first key was created. A revocation overwrites some of its bytes in
place, which needs no further space on the usual file systems. (Those that copy on write, such as Btrfs, do not
guarantee this; they reserve some space for such cases.) The next change of the database moves the revocations there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from localagent.errors import StartError

if sys.platform != "win32":
    import fcntl

FILE_NAME = "revocations"
SLOT = 32
SLOTS = 128
_FREE = bytes(SLOT)
_ENTRY = re.compile(rb"([a-z2-7]{10}) ([0-9]{1,11}\.[0-9]{3})\n\0*")


class Revocations:
    """The file of one folder.

    Args:
        folder: The folder of the store.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._file: BinaryIO | None = None
        self._identity: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Create the file if it does not exist.

        Raises:
            OSError: The file cannot be created.
        """
        if self._path.exists():
            return
        number, name = tempfile.mkstemp(dir=self._path.parent, prefix=FILE_NAME)  # its mode is always 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_FREE * SLOTS)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.link(name, self._path)
        finally:
            Path(name).unlink()

    def read(self) -> dict[str, float]:
        """Return the revocation times by key id, in seconds since the epoch; keep the file open for later calls.

        Raises:
            StartError: The file is damaged.
            OSError: The file cannot be read.
        """
        self._follow()
        if self._file is None:
            return {}
        self._file.seek(0)
        return dict(self._entry(slot) for slot in _slots(self._file.read(SLOT * SLOTS)) if slot.strip(b"\0"))

    def add(self, id: str, revoked: float) -> None:
        """Store a revocation.

        Args:
            id: The key's id.
            revoked: Seconds since the epoch.

        Raises:
            OSError: It cannot be stored; the file may be full.
        """
        with self._changing() as (file, slots):
            if _FREE not in slots:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _write(file, slots.index(_FREE), f"{id} {revoked:.3f}\n".encode().ljust(SLOT, b"\0"))

    def remove(self, ids: Iterable[str]) -> None:
        """Remove the revocations of some keys, which are in the database now.

        Raises:
            OSError: The file cannot be written.
        """
        names = {id.encode() for id in ids}
        with self._changing() as (file, slots):
            for number, slot in enumerate(slots):
                if slot.partition(b" ")[0] in names:
                    _write(file, number, _FREE)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._file is not None:
            self._file.close()
        self._file, self._identity = None, None

    def _follow(self) -> None:
        """Open the current file, unless it is already open."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self.close()
        if (found.st_dev, found.st_ino) != self._identity:
            self.close()
            self._file = self._path.open("rb", buffering=0)
            self._identity = (found.st_dev, found.st_ino)
        return None

    def _entry(self, slot: bytes) -> tuple[str, float]:
        found = _ENTRY.fullmatch(slot)
        if found is None:
            raise StartError(f"{self._path} is damaged.",
                             hint="Delete it, and repeat the revocations made while the disk was full.")  # fmt: skip
        return found[1].decode(), float(found[2])

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[BinaryIO, list[bytes]]]:
        """Open the file, locked against changes by other processes, and yield it with its slots."""
        with self._path.open("r+b", buffering=0) as file:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file, list(_slots(file.read(SLOT * SLOTS)))
            os.fsync(file.fileno())


def _slots(content: bytes) -> Iterator[bytes]:
    return (content[start : start + SLOT] for start in range(0, len(content), SLOT))


def _write(file: BinaryIO, number: int, slot: bytes) -> None:
    """Write a slot; if it does not fit, leave the slot free and raise OSError."""
    file.seek(number * SLOT)
    written = file.write(slot)
    if written < SLOT:
        file.seek(number * SLOT)
        file.write(_FREE[:written])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
