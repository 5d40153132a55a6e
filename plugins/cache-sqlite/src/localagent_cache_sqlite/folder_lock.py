"""One process at a time may create, replace or set aside the file of a folder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

PAUSE_SECONDS = 0.005  # between two attempts to get the lock


@contextlib.contextmanager
def locked(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a folder; it ends with the process, too.

    Args:
        folder: The folder. It is the folder that is locked and not a file, because a file could be replaced.
        seconds: How long to wait for other processes.

    Raises:
        OSError: The folder cannot be opened, or the lock cannot be had in time.
    """
    if os.name != "posix":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float) -> None:
    import fcntl

    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("another process is opening it") from None
        time.sleep(PAUSE_SECONDS)
