"""Bounds the bytes of all bodies that one worker holds at a time."""

from __future__ import annotations

from localagent_gateway.errors import Busy

SMALL = 64 * 1024
"""Bytes of a body up to which it may use the quarter of the budget that large ones leave free."""


class BodyBudget:
    """The bytes of the bodies that are being read, and of the requests that are being answered.

    Args:
        limit: The most bytes; a quarter of them is left to small bodies, so that large ones keep nobody else out.

    Attributes:
        held: The bytes that are held now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def open(self) -> BodyShare:
        """Return the share of one body, empty so far."""
        return BodyShare(self)


class BodyShare:
    """What one body takes of the budget.

    Args:
        budget: The budget.
    """

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def check(self, more: int = 0) -> None:
        """Refuse a body for which there is no room.

        Args:
            more: Bytes by which it is about to grow.

        Raises:
            Busy: There is none.
        """
        budget = self._budget
        limit = budget.limit if self._bytes + more <= SMALL else budget.limit // 4 * 3
        if budget.held + more > limit:
            raise Busy("The bodies of other requests take all the memory that bodies may.",
                       mend="Send the request again.", retry_after=1.0)  # fmt: skip

    def take(self, more: int) -> None:
        """Take more bytes.

        Raises:
            Busy: There is no room for them.
        """
        self.check(more)
        self._bytes += more
        self._budget.held += more

    def close(self) -> None:
        """Give back all; idempotent."""
        self._budget.held -= self._bytes
        self._bytes = 0
