"""The log that the readers of one streamed flight share: the events so far, and the position of each reader.

It is a pure state machine without time or awaits. The flight adds events and checks whether to pause; readers read to
the end of the log. Up to ``KEEP`` bytes everything is kept, so that new readers get all earlier events. Beyond that no
reader can join, and events that all readers have read are dropped. Two limits then bound the log: the source pauses
while the fastest reader is ``AHEAD`` bytes behind, and a reader that is more than ``BEHIND`` bytes behind is removed.
"""

from __future__ import annotations

from collections.abc import Sequence

from localagent.records.responses import Chunk

KEEP = 1024 * 1024
AHEAD = 256 * 1024
BEHIND = 1024 * 1024


class Cursor:
    """The position of one reader.

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
        keep: Up to this many bytes, everything is kept.
        ahead: The source pauses when the fastest reader is this many bytes behind.
        behind: A reader that is more than this many bytes behind when more arrives is removed.

    Attributes:
        events: Number of events that have arrived.
        size: Number of bytes that have arrived.
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
        """Whether the log still has its beginning, so that another reader can join."""
        return self.size <= self._keep

    @property
    def paused(self) -> bool:
        """Whether the source should wait because even the fastest reader is too far behind."""
        return bool(self._cursors) and self.size - self._front >= self._ahead

    @property
    def held(self) -> int:
        """Number of events in memory."""
        return len(self._kept)

    def join(self) -> Cursor:
        """Add a reader; return its cursor, at the beginning.

        Raises:
            ValueError: The log is no longer whole.
        """
        if not self.whole:
            raise ValueError("the beginning of the log has been dropped")
        cursor = Cursor()
        self._cursors.add(cursor)
        return cursor

    def leave(self, cursor: Cursor) -> None:
        """Remove a reader; idempotent."""
        if cursor in self._cursors:
            self._cursors.discard(cursor)
            if cursor.size == self._front:
                self._front = max((other.size for other in self._cursors), default=0)
            self._drop()

    def add(self, chunks: Sequence[Chunk]) -> list[Cursor]:
        """Add chunks.

        Returns:
            Readers that were removed, because they were too far behind before these chunks.
        """
        slow = [] if self.whole else [one for one in self._cursors if self.size - one.size > self._behind]
        self._cursors.difference_update(slow)
        self.size += sum(len(chunk.data) for chunk in chunks)
        self._kept += chunks
        self.events += len(chunks)
        self._drop()
        return slow

    def read(self, cursor: Cursor) -> list[Chunk]:
        """Return all chunks that a reader has not read yet."""
        chunks = self._kept[cursor.events - self._dropped :]
        cursor.events, cursor.size = self.events, self.size
        self._front = self.size
        if chunks:
            self._drop()
        return chunks

    def _drop(self) -> None:
        """Drop the events that all readers have read, once the log is no longer whole."""
        if self.whole:
            return
        read = min((cursor.events for cursor in self._cursors), default=self.events)
        if read > self._dropped:
            del self._kept[: read - self._dropped]
            self._dropped = read
