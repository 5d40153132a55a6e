"""What to keep when there is no room for everything: S3-FIFO, within a bound of bytes and one of entries.

Three queues, each first in, first out. What is new enters the *small* one, a tenth of the room. Who has been asked for
again by the time it reaches the end moves to the *main* one; the others go, and only their keys are remembered, as
*ghosts*. A ghost that comes back enters the main queue at once. At the end of the main queue, each time that an entry
was asked for buys another round.

So what is asked for once passes through a tenth of the room, where LRU would let it push out everything else. A hit
moves nothing: it counts, and that is all.

After: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023, section 4. Ours are
the bound of bytes, that one eviction looks at a bounded number of entries, and that ghosts may be as many as entries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SMALL = 0.1  # the small queue's share of the room, as in the paper
MOST_USES = 3  # uses that are counted: two bits, as in the paper
PROMOTING = 1  # uses in the small queue that lead to the main one
LOOKS = 1000  # entries that one eviction lets stay, at most; without it, they could be three times all of them


class _Slot(Generic[V]):
    """An entry's place in a queue."""

    __slots__ = ("size", "uses", "value")

    def __init__(self, value: V, size: int) -> None:
        self.value = value
        self.size = size
        self.uses = 0


class S3Fifo(Generic[K, V]):
    """A mapping that never holds more than its bounds allow. Every method takes amortised constant time.

    Args:
        max_size: The most that the sizes of all entries add up to.
        max_entries: The most entries.

    Attributes:
        size: What the sizes of all entries add up to.
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
        """Return what is kept under a key, and count the use."""
        slot = self._main.get(key) or self._small.get(key)
        if slot is None:
            return None
        if slot.uses < MOST_USES:
            slot.uses += 1
        return slot.value

    def peek(self, key: K) -> V | None:
        """Return what is kept under a key without counting a use."""
        slot = self._main.get(key) or self._small.get(key)
        return None if slot is None else slot.value

    def put(self, key: K, value: V, size: int) -> list[tuple[K, V]]:
        """Keep something under a key, in the place of what was there.

        Args:
            key: The key.
            value: What to keep.
            size: Its size, at most ``max_size``.

        Returns:
            What had to go for it, with its keys. What it replaces is not among them.
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
        """Take something out and return it; it leaves no ghost."""
        slot = self._take(key)
        self._trim_ghosts()
        return None if slot is None else slot.value

    def clear(self) -> None:
        """Let go everything, the ghosts, too."""
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
        """Let entries go until one more of this size fits."""
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
        """Let the oldest of the small queue go, or move it to the main one if it was asked for."""
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
        """Let the oldest of the main queue go, or send it round again if it was asked for."""
        key, slot = self._main.popitem(last=False)
        if may_stay and slot.uses:
            slot.uses -= 1
            self._main[key] = slot
            return None
        self.size -= slot.size
        return key, slot.value

    def _trim_ghosts(self) -> None:
        """Forget the oldest ghosts: there are never more of them than of entries."""
        while len(self._ghosts) > len(self):
            self._ghosts.popitem(last=False)
