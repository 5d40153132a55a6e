"""The log that the readers of one streamed flight share: what has come, and how far each of them is.

A pure state machine: no clock, no await. The flight adds what comes and asks whether to pause; readers read to the end.
All is kept up to ``KEEP`` bytes, so that a late reader gets the past. Past it nobody joins, and what all have read is
dropped; then nothing bounds the log but its readers, so the source pauses for the fastest of them (``AHEAD``), and one
that falls too far behind (``BEHIND``) is given up.
"""

from __future__ import annotations

from collections.abc import Sequence

from localagent.records.responses import Chunk

KEEP = 1024 * 1024
AHEAD = 256 * 1024
BEHIND = 1024 * 1024


class Cursor:
    """How far one reader is.

    Attributes:
        events: Events that it has read.
        size: Bytes that it has read.
    """

    __slots__ = ("events", "size")

    def __init__(self) -> None:
        self.events = 0
        self.size = 0


class FlightLog:
    """See the module.

    Args:
        keep: Bytes up to which everything is kept.
        ahead: Bytes that the fastest reader may be behind before the source pauses.
        behind: Bytes that a reader may be behind when more comes.

    Attributes:
        events: Events that have come.
        size: Bytes that have come.
    """

    __slots__ = ("_ahead", "_behind", "_cursors", "_dropped", "_front", "_keep", "_kept", "events", "size")

    def __init__(self, keep: int = KEEP, ahead: int = AHEAD, behind: int = BEHIND) -> None:
        self.events = 0
        self.size = 0
        self._keep = keep
        self._ahead = ahead
        self._behind = behind
        self._kept: list[Chunk] = []
        self._dropped = 0
        self._cursors: set[Cursor] = set()
        self._front = 0

    @property
    def whole(self) -> bool:
        """Whether nothing may have been dropped yet, so that one more reader can join."""
        return self.size <= self._keep

    @property
    def paused(self) -> bool:
        """Whether even the fastest reader is so far behind that the source should wait."""
        return bool(self._cursors) and self.size - self._front >= self._ahead

    @property
    def held(self) -> int:
        """Events that are held in memory."""
        return len(self._kept)

    def join(self) -> Cursor:
        """Return the cursor of one more reader, at the beginning.

        Raises:
            ValueError: The log is not whole any more.
        """
        if not self.whole:
            raise ValueError("the beginning of the log is gone")
        cursor = Cursor()
        self._cursors.add(cursor)
        return cursor

    def leave(self, cursor: Cursor) -> None:
        """Forget a reader; idempotent."""
        if cursor in self._cursors:
            self._cursors.discard(cursor)
            if cursor.size == self._front:
                self._front = max((other.size for other in self._cursors), default=0)
            self._drop()

    def add(self, chunks: Sequence[Chunk]) -> list[Cursor]:
        """Take in what came.

        Returns:
            Readers that were given up, because they were too far behind before this came.
        """
        slow = [] if self.whole else [one for one in self._cursors if self.size - one.size > self._behind]
        self._cursors.difference_update(slow)
        self.size += sum(len(chunk.data) for chunk in chunks)
        self._kept += chunks
        self.events += len(chunks)
        self._drop()
        return slow

    def read(self, cursor: Cursor) -> list[Chunk]:
        """Return all that a reader has not read yet."""
        chunks = self._kept[cursor.events - self._dropped :]
        cursor.events, cursor.size = self.events, self.size
        self._front = self.size
        if chunks:
            self._drop()
        return chunks

    def _drop(self) -> None:
        """Drop what all have read, once the log is not whole any more."""
        if self.whole:
            return
        read = min((cursor.events for cursor in self._cursors), default=self.events)
        if read > self._dropped:
            del self._kept[: read - self._dropped]
            self._dropped = read
