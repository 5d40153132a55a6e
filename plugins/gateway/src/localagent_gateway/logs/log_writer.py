"""Log lines on their way to standard error: a thread writes them, so a reader who stops reading holds up nobody."""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
from collections.abc import Callable, Iterator

import msgspec

from localagent_gateway.signals import leave_to_main_thread

STANDARD_ERROR = 2
MOST_BYTES = 1024 * 1024  # about 6,000 lines; beyond them lines are dropped and counted
ATOMIC = 4096
"""PIPE_BUF of Linux: what several workers write to one pipe is not mixed, as long as no write is larger."""
CLOSE_SECONDS = 1.0  # at the end, for what is left; a reader who does not read does not keep the process alive

_encode = msgspec.json.Encoder().encode


class LogWriter:
    """A bounded queue of lines, and the thread that writes them; ``close`` ends it.

    Args:
        descriptor: Where they go; None drops all without counting.
        wall: Returns the seconds since the epoch.
        most: Bytes that may wait.
    """

    def __init__(self, descriptor: int | None, wall: Callable[[], float], most: int = MOST_BYTES) -> None:
        self._descriptor = descriptor
        self._wall = wall
        self._most = most
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="write log lines", daemon=True)
        self._thread.start()

    def put(self, lines: bytes) -> None:
        """Have whole lines written; never waits."""
        with self._lock:
            if self._waiting + len(lines) > self._most:
                self._dropped += lines.count(b"\n")
                return
            self._waiting += len(lines)
        self._queue.put(lines)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until all is written, but no longer than this."""
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
            line = {"time": round(self._wall(), 3), "level": "warning", "message": said, "dropped_lines": dropped}
            self._write(_encode(line) + b"\n")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._descriptor is not None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody made it non-blocking; it is shared with other processes
                select.select([], [self._descriptor], [], 1.0)
            except OSError:  # nobody will ever read it
                return


def pieces(lines: bytes) -> Iterator[bytes]:
    """Return whole lines in pieces of at most ``ATOMIC`` bytes; a longer line is one by itself."""
    start = 0
    while len(lines) - start > ATOMIC:
        end = lines.rfind(b"\n", start, start + ATOMIC) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
    yield lines[start:]


def standard_error(wall: Callable[[], float]) -> LogWriter:
    """Return lines that go to standard error, if there is one: its number may be a socket's where it was closed."""
    return LogWriter(None if sys.__stderr__ is None else STANDARD_ERROR, wall)
