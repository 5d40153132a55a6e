"""S3-FIFO eviction, with a limit on bytes and one on entries.

There are three first-in, first-out queues. New entries enter the *small* queue, a tenth of the space. An entry that was
used again by the time it reaches the end moves to the *main* queue; the others are evicted, and only their keys are
remembered, as *ghosts*. A ghost that is stored again enters the main queue directly. At the end of the main queue, each
use of an entry gives it another round.

So entries that are used only once pass through a tenth of the space; with LRU they would push out everything else. A
hit moves no entry, it only counts.

After: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023, section 4. This
implementation differs: it also limits bytes, one eviction examines a limited number of entries, and there may be as
many ghosts as entries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SMALL = 0.1  # the small queue's share of the space, as in the paper
MOST_USES = 3  # the most uses that are counted: two bits, as in the paper
PROMOTING = 1  # uses in the small queue that move an entry to the main one
LOOKS = 1000  # the most entries that one eviction may keep; without a limit, it could be three times all of them


class _Slot(Generic[V]):
    """An entry's place in a queue."""

    __slots__ = ("size", "uses", "value")

    def __init__(self, value: V, size: int) -> None:
        self.value = value
        self.size = size
        self.uses = 0


class S3Fifo(Generic[K, V]):
    """A mapping that never exceeds its limits. Every method takes amortised constant time.

    Args:
        max_size: The maximum total size of all entries.
        max_entries: The maximum number of entries.

    Attributes:
        size: The total size of all entries.
    """

    def __init__(self, max_size: int, max_entries: int) -> None:
        self._max_size, self._max_entries = max_size, max_entries
        self._small_share = SMALL * max_size, SMALL * max_entries
        self._small: OrderedDict[K, _Slot[V]] = OrderedDict()
        self._main: OrderedDict[K, _Slot[V]] = OrderedDict()
        self._ghosts: OrderedDict[K, None] = OrderedDict()
        self._small_size = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __iter__(self) -> Iterator[tuple[K, V]]:
        for queue in (self._small, self._main):
            for key, slot in queue.items():
                yield key, slot.value

    def get(self, key: K) -> V | None:
        """Return the value of a key, and count the use; None if there is no value."""
        slot = self._main.get(key) or self._small.get(key)
        if slot is None:
            return None
        if slot.uses < MOST_USES:
            slot.uses += 1
        return slot.value

    def peek(self, key: K) -> V | None:
        """Return the value of a key without counting a use; None if there is no value."""
        slot = self._main.get(key) or self._small.get(key)
        return None if slot is None else slot.value

    def put(self, key: K, value: V, size: int) -> list[tuple[K, V]]:
        """Store a value under a key, replacing an older one.

        Args:
            key: The key.
            value: The value.
            size: Its size, at most ``max_size``.

        Returns:
            The keys and values that were evicted for it, without the value that it replaces.
        """
        slot = _Slot(value, size)
        main = key in self._main
        old = self._take(key)
        if old is not None:
            slot.uses = old.uses
        elif key in self._ghosts:
            del self._ghosts[key]
            main = True
        gone = self._make_room(size)
        self._insert(key, slot, main=main)
        self._trim_ghosts()
        return gone

    def pop(self, key: K) -> V | None:
        """Remove a key and return its value; it leaves no ghost."""
        slot = self._take(key)
        self._trim_ghosts()
        return None if slot is None else slot.value

    def clear(self) -> None:
        """Remove all entries and ghosts."""
        for queue in (self._small, self._main, self._ghosts):
            queue.clear()
        self.size = self._small_size = 0

    def _insert(self, key: K, slot: _Slot[V], *, main: bool) -> None:
        (self._main if main else self._small)[key] = slot
        self.size += slot.size
        if not main:
            self._small_size += slot.size

    def _take(self, key: K) -> _Slot[V] | None:
        slot = self._small.pop(key, None)
        if slot is not None:
            self._small_size -= slot.size
        else:
            slot = self._main.pop(key, None)
        if slot is not None:
            self.size -= slot.size
        return slot

    def _make_room(self, size: int) -> list[tuple[K, V]]:
        """Evict entries until one more of this size fits."""
        gone: list[tuple[K, V]] = []
        looks = 0
        while self and (self.size + size > self._max_size or len(self) >= self._max_entries):
            look = self._at_small if self._small_is_over() or not self._main else self._at_main
            victim = look(may_stay=looks < LOOKS)
            looks += 1
            if victim is not None:
                gone.append(victim)
                looks = 0
        return gone

    def _small_is_over(self) -> bool:
        size, entries = self._small_share
        return self._small_size > size or len(self._small) > entries

    def _at_small(self, *, may_stay: bool) -> tuple[K, V] | None:
        """Evict the oldest entry of the small queue, or move it to the main one if it was used."""
        key, slot = self._small.popitem(last=False)
        self._small_size -= slot.size
        if may_stay and slot.uses >= PROMOTING:
            slot.uses = 0
            self._main[key] = slot
            return None
        self.size -= slot.size
        self._ghosts[key] = None
        return key, slot.value

    def _at_main(self, *, may_stay: bool) -> tuple[K, V] | None:
        """Evict the oldest entry of the main queue, or give it another round if it was used."""
        key, slot = self._main.popitem(last=False)
        if may_stay and slot.uses:
            slot.uses -= 1
            self._main[key] = slot
            return None
        self.size -= slot.size
        return key, slot.value

    def _trim_ghosts(self) -> None:
        """Remove the oldest ghosts, so that there are never more ghosts than entries."""
        while len(self._ghosts) > len(self):
            self._ghosts.popitem(last=False)
