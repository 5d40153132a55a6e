"""Waiting until what is under way has ended, when a client closes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Leaving(set[T]):
    """A set that tells when it has become empty; it takes the place of a plain one, which costs calls nothing.

    Args:
        members: Who is there.

    Attributes:
        empty: Done when nobody is there any more.
    """

    def __init__(self, members: Iterable[T]) -> None:
        super().__init__(members)
        self.empty: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tell()

    def discard(self, element: object, /) -> None:
        """Let a member go."""
        super().discard(element)
        self._tell()

    def _tell(self) -> None:
        if not self and not self.empty.done():
            self.empty.set_result(None)
