"""The JSON log of a serving process: log records, warnings and printed text, one JSON object per line.

A thread writes the lines to standard error, so a reader that stops reading does not block the server.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from localagent.plugin_api import progress
from localagent_cli import Log
from localagent_gateway.logs.defects import way_to
from localagent_gateway.logs.log_writer import ATOMIC, LogWriter, standard_error

_encode = msgspec.json.Encoder().encode


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
