"""The last lines of llama.cpp's log, without prompts.

llama.cpp quotes requests in its log: a body that is not JSON, a grammar that does not parse. So the log is kept in full
only while the model loads, when there were no requests yet. Afterwards only the lines that llama.cpp writes when it
aborts are kept: the place in its source and the condition that failed.
"""

from __future__ import annotations

import re
from collections import deque

KEPT_LINES = 50
KEPT_CHARACTERS = 500

_STAMP = re.compile(r"^[\d.]+ [A-Z] ")
_GIVES_UP = re.compile(r"\S+\.(?:c|cc|cpp|cu|cuh|h|hpp|m|metal):\d+: .+")
_CAUSE = re.compile(r"error loading model: (.+)")


class LogTail:
    """Keeps the last 50 lines that are safe to show."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._loading = True

    def add(self, raw: bytes) -> None:
        """Process one line of the log; keep it if it is safe to show."""
        line = _STAMP.sub("", raw.decode(errors="replace").rstrip())[:KEPT_CHARACTERS]
        if line and (self._loading or _GIVES_UP.fullmatch(line)):
            self._lines.append(line)

    def loaded(self) -> None:
        """Note that from now on the log may quote requests."""
        self._loading = False

    def lines(self) -> tuple[str, ...]:
        """Return the kept lines, oldest first."""
        return tuple(self._lines)

    def cause(self) -> str | None:
        """Return the line that best explains why loading failed or the server aborted, or None."""
        for line in self._lines:
            if named := _CAUSE.search(line):
                return named[1]
        given_up = [line for line in self._lines if _GIVES_UP.fullmatch(line)]
        return given_up[-1] if given_up else None
