"""The thread that writes log lines, so that a reader that stops reading does not block the server."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from localagent.errors import StartError
from localagent_gateway.signals import leave_to_main_thread

STANDARD_ERROR = 2
MOST_BYTES = 1024 * 1024  # about 6,000 lines; further ones are dropped and counted
ATOMIC = 4096
"""PIPE_BUF of Linux: the writes of several workers to one pipe are not mixed as long as none is larger."""
CLOSE_SECONDS = 1.0  # at the end, for the remaining lines; a reader that stops reading must not keep the process alive

_encode = msgspec.json.Encoder().encode


class LogWriter:
    """A bounded queue of lines, and the thread that writes them; ``close`` ends it.

    Args:
        descriptor: The descriptor to write to; None drops all lines without counting.
        wall_time: Returns the seconds since the epoch.
        most: The most bytes that may wait.
    """

    def __init__(self, descriptor: int | None, wall_time: Callable[[], float], most: int = MOST_BYTES) -> None:
        self._descriptor = descriptor
        self._wall_time = wall_time
        self._most = most
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="write log lines", daemon=True)
        self._thread.start()

    def put(self, lines: bytes) -> None:
        """Queue whole lines; never blocks."""
        with self._lock:
            if self._waiting + len(lines) > self._most:
                self._dropped += lines.count(b"\n")
                return
            self._waiting += len(lines)
        self._queue.put(lines)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until all lines are written, for at most ``seconds``."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        leave_to_main_thread()
        while (lines := self._queue.get()) is not None:
            for piece in pieces(lines):
                self._write(piece)
            with self._lock:
                self._waiting -= len(lines)
            if self._queue.empty():
                self._tell_dropped()
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            said = f"{dropped} lines of the log were dropped: standard error was not read."
            line = {"time": round(self._wall_time(), 3), "level": "warning", "message": said, "dropped_lines": dropped}
            self._write(_encode(line) + b"\n")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._descriptor is not None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process that shares it made it non-blocking
                select.select([], [self._descriptor], [], 1.0)
            except OSError:  # it has no reader any more
                return


class FileLog(LogWriter):
    """Writes to a file that other processes may write to, too; one that was moved away is created again.

    Args:
        path: The file.
        wall_time: Returns the seconds since the epoch.

    Raises:
        StartError: The file cannot be opened.
    """

    def __init__(self, path: Path, wall_time: Callable[[], float]) -> None:
        self._path = path
        try:
            descriptor = _appending(path)
        except OSError as error:
            raise StartError(
                f"The log file {path} cannot be opened: {error.strerror}.",
                hint="Change log_file in [plugins.gateway], or who may write there.",
            ) from None
        super().__init__(descriptor, wall_time)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until all lines are written, and close the file."""
        super().close(seconds)
        if self._descriptor is not None and not self._thread.is_alive():
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the folder is gone, or the disk is full; a later line tries again
            if self._descriptor is not None and not _is_at(self._descriptor, self._path):
                moved, self._descriptor = self._descriptor, _appending(self._path)
                os.close(moved)
        super()._write(data)


def _appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a descriptor is of the file at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def pieces(lines: bytes) -> Iterator[bytes]:
    """Return whole lines in pieces of at most ``ATOMIC`` bytes; a longer line is a piece of its own."""
    start = 0
    while len(lines) - start > ATOMIC:
        end = lines.rfind(b"\n", start, start + ATOMIC) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
    yield lines[start:]


def standard_error(wall_time: Callable[[], float]) -> LogWriter:
    """Return a writer to standard error, if that is open: otherwise its descriptor may belong to a socket."""
    return LogWriter(None if sys.__stderr__ is None else STANDARD_ERROR, wall_time)


def log_of(
    path: Path | None, lines: LogWriter | None, wall_time: Callable[[], float]
) -> contextlib.AbstractContextManager[LogWriter]:
    """Return the log for requests: the file at ``path``, or else the given one, or else standard error."""
    if path is not None:
        return contextlib.closing(FileLog(path, wall_time))
    return contextlib.nullcontext(lines) if lines is not None else contextlib.closing(standard_error(wall_time))
