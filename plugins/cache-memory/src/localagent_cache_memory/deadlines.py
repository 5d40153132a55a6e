"""The deadlines of entries, grouped into spans of time, so adding, removing and expiring need no search."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")


class Deadlines(Generic[K]):
    """Keys by their deadlines.

    Args:
        span: Seconds; deadlines in the same span are handled together. A key is reported at most one span after its
            deadline, and never before.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        self._keys: dict[int, set[K]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._keys.values()))

    def add(self, key: K, deadline: float) -> None:
        """Add a key with its deadline."""
        self._keys.setdefault(self._number(deadline), set()).add(key)

    def discard(self, key: K, deadline: float) -> None:
        """Remove a key that was added with this deadline."""
        number = self._number(deadline)
        keys = self._keys[number]
        keys.discard(key)
        if not keys:
            del self._keys[number]

    def over(self, now: float, limit: int) -> list[K]:
        """Remove and return keys whose deadlines have passed, at most ``limit`` of them."""
        found: list[K] = []
        current = self._number(now)
        for number in sorted(number for number in self._keys if number < current):
            keys = self._keys[number]
            while keys and len(found) < limit:
                found.append(keys.pop())
            if keys:
                break
            del self._keys[number]
        return found

    def clear(self) -> None:
        """Remove all keys."""
        self._keys.clear()

    def _number(self, time: float) -> int:
        return int(time // self._span)
