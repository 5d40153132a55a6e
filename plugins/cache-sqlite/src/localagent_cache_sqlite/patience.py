"""Whether the disk is quick enough to be read on the event loop."""

from __future__ import annotations


class Patience:
    """Over after one slow read; back after a quick one somewhere else.

    Args:
        limit: Seconds that a read may take.

    Attributes:
        over: Whether nobody should wait for the disk now.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.over = False

    def note(self, seconds: float) -> None:
        """Take note of how long a read took."""
        self.over = seconds > self._limit
