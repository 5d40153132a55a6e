"""The JSON log of a serving process: log records, warnings and printed text, one JSON object per line.

A thread writes the lines to standard error, so a reader that stops reading does not block the server.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from localagent.plugin_api import progress
from localagent_cli import Log
from localagent_gateway.logs.defects import way_to
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


def wall_time() -> float:
    """Return the seconds since the epoch."""
    return time.time()


class JsonLog(logging.Handler):
    """Writes log records.

    Args:
        lines: The writer.
    """

    def __init__(self, lines: LogWriter) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; tracebacks and progress messages only with ``--debug``."""
        debug = logging.getLogger().isEnabledFor(logging.DEBUG)
        if record.name == progress.name and not debug:
            return
        way = getattr(record, "traceback", "")
        if not way and debug and record.exc_info and record.exc_info[1] is not None:
            way = way_to(record.exc_info[1])
        fields = {"request_id": getattr(record, "request_id", ""), "traceback": way}
        self._lines.put(line_of(record.levelname.lower(), record.name, record.getMessage(), **fields))


class JsonStream(io.TextIOBase):
    """Replaces a standard stream: each printed line becomes a line of the log.

    Args:
        lines: The writer.
        name: The name of the stream, used as the logger of its lines.
        descriptor: The stream's own descriptor, for child processes that inherit it.
    """

    encoding = "utf-8"

    def __init__(self, lines: LogWriter, name: str, descriptor: int) -> None:
        self._lines = lines
        self._name = name
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._begun = ""
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        """Write the complete lines; keep the rest until its line is complete."""
        with self._lock:
            *whole, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > ATOMIC:
                whole, self._begun = [*whole, self._begun], ""
        for line in whole:
            if line.strip():
                self._lines.put(line_of("info", self._name, line.rstrip()))
        return len(text)

    def end(self) -> None:
        """Write an unfinished line."""
        if self._begun:
            self.write("\n")

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the replaced stream."""
        return self._descriptor


class _Bytes(io.RawIOBase):
    """The binary side of a stream."""

    def __init__(self, stream: JsonStream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._stream.write(raw.decode(errors="replace"))
        return len(raw)


def line_of(level: str, logger: str, message: str, **more: str) -> bytes:
    """Return a line of the log; long texts are cut so that lines of several processes are not mixed.

    Args:
        level: The level, such as ``warning``.
        logger: The logger's name.
        message: The message.
        more: Further fields; empty ones are left out.
    """
    head = {"time": round(wall_time(), 3), "level": level, "logger": logger}
    texts = {"message": message, **{name: text for name, text in more.items() if text}}
    texts = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    line = _encode({**head, **texts})
    most = ATOMIC
    while len(line) >= ATOMIC and most:
        most //= 2
        line = _encode({**head, **{name: _cut(name, text, most) for name, text in texts.items()}})
    return line + b"\n"


def _cut(name: str, text: str, most: int) -> str:
    """Return the beginning of a text, or the end of a traceback, which shows the failure."""
    if len(text) <= most:
        return text
    return f"...{text[-most:]}" if name == "traceback" else f"{text[:most]}..."


@contextlib.contextmanager
def json_log() -> Iterator[LogWriter]:
    """Write all output of this process as JSON lines, without ever waiting for their reader.

    This includes log records, Python's warnings and text printed to standard output and standard error.
    """
    lines = standard_error(wall_time)
    root = logging.getLogger()
    before, streams = list(root.handlers), (sys.stdout, sys.stderr)
    printed = JsonStream(lines, "stdout", 1), JsonStream(lines, "stderr", 2)
    for handler in before:
        if isinstance(handler, Log):
            root.removeHandler(handler)
    root.addHandler(ours := JsonLog(lines))
    logging.captureWarnings(True)
    sys.stdout, sys.stderr = printed
    try:
        yield lines
    finally:
        sys.stdout, sys.stderr = streams
        logging.captureWarnings(False)
        root.removeHandler(ours)
        for handler in before:
            root.addHandler(handler)  # adding a handler twice has no effect
        for stream in printed:
            stream.end()
        lines.close()
