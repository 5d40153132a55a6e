"""``S3Fifo``: a mapping within bounds, what goes first, and that its queues and sums always agree."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from localagent_cache_memory.s3fifo import LOOKS, S3Fifo

KEYS = st.integers(0, 30)
SIZES = st.integers(0, 12)


def filled(keys: range, room: int) -> S3Fifo[int, int]:
    """Return a mapping with room for so many entries, into which these keys were put."""
    kept: S3Fifo[int, int] = S3Fifo(room, room)
    for key in keys:
        kept.put(key, key, 1)
    return kept


def keys(kept: S3Fifo[int, int]) -> set[int]:
    return {key for key, _ in kept}


def test_what_was_asked_for_once_goes_first() -> None:
    """A scan ten times as long as the room pushes out nobody who was asked for again."""
    kept = filled(range(10), 10)
    for key in range(5):
        kept.get(key)
    for key in range(100, 200):
        kept.put(key, key, 1)
    assert keys(kept) >= set(range(5))


def test_what_nobody_asks_for_any_more_goes_in_the_end() -> None:
    """Uses buy rounds, and rounds come to an end: the popular of yesterday make room for those of today."""
    kept = filled(range(10), 10)
    for key in range(10):
        for _ in range(5):
            kept.get(key)
    for key in range(100, 200):
        kept.put(key, key, 1)
        kept.get(key)
    assert not keys(kept) & set(range(10))


def test_a_ghost_that_comes_back_stays() -> None:
    """What went and is put again soon enters the main queue: the next scan does not push it out."""
    kept = filled(range(12), 10)
    assert 0 not in keys(kept)
    kept.put(0, 0, 1)
    for key in range(100, 109):
        kept.put(key, key, 1)
    assert 0 in keys(kept)


def test_a_peek_is_no_use() -> None:
    """Who was only peeked at goes as if nobody had looked; who was got stays."""
    for look, stays in ((S3Fifo.peek, False), (S3Fifo.get, True)):
        kept = filled(range(10), 10)
        look(kept, 0)
        kept.put(100, 100, 1)
        assert (0 in keys(kept)) is stays


def test_replacing_keeps_what_was_learned() -> None:
    """A new value under a key that was in use keeps its uses."""
    kept = filled(range(10), 10)
    kept.get(0)
    kept.put(0, -1, 1)
    for key in range(100, 150):
        kept.put(key, key, 1)
    assert kept.peek(0) == -1


def test_one_eviction_looks_at_a_bounded_number_of_entries() -> None:
    """If every entry is in use, the one after the first ``LOOKS`` is evicted, from the small or the main queue."""
    room = 3 * LOOKS
    for kept, queue in ((filled(range(room), room), "_small"), (in_main(room), "_main")):
        for key in range(room):
            kept.get(key)
        victim = list(getattr(kept, queue))[LOOKS]
        assert kept.put(-1, -1, 1) == [(victim, victim)]


def in_main(room: int) -> S3Fifo[int, int]:
    """Return a mapping that is full of entries in the main queue, none of which is in use."""
    kept = filled(range(2 * room), room)
    for key in range(room):
        kept.put(key, key, 1)
    return kept


def test_a_room_for_one_holds_the_last() -> None:
    """The smallest room there is."""
    kept = filled(range(5), 1)
    assert keys(kept) == {4}


def test_sizes_of_zero_are_bounded_in_number() -> None:
    """The bound of entries holds by itself."""
    kept: S3Fifo[int, int] = S3Fifo(0, 3)
    for key in range(9):
        kept.put(key, key, 0)
    assert (len(kept), kept.size) == (3, 0)


class Mapping(RuleBasedStateMachine):
    """Any sequence of operations, compared with a dict that follows every eviction."""

    @initialize(max_size=st.integers(12, 60), max_entries=st.integers(1, 12))
    def begin(self, max_size: int, max_entries: int) -> None:
        self.max_size, self.max_entries = max_size, max_entries
        self.kept: S3Fifo[int, int] = S3Fifo(max_size, max_entries)
        self.model: dict[int, tuple[int, int]] = {}
        self.numbers = 0

    @rule(key=KEYS, size=SIZES)
    def put(self, key: int, size: int) -> None:
        self.numbers += 1
        gone = self.kept.put(key, self.numbers, size)
        self.model.pop(key, None)
        for other, value in gone:
            assert self.model.pop(other)[0] == value
        self.model[key] = self.numbers, size

    @rule(key=KEYS)
    def get(self, key: int) -> None:
        assert self.kept.get(key) == self.model.get(key, (None,))[0]

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        assert self.kept.pop(key) == self.model.pop(key, (None,))[0]

    @rule()
    def clear(self) -> None:
        self.kept.clear()
        self.model.clear()

    @invariant()
    def the_same_is_there(self) -> None:
        assert dict(self.kept) == {key: value for key, (value, _) in self.model.items()}

    @invariant()
    def the_bounds_hold(self) -> None:
        assert self.kept.size == sum(size for _, size in self.model.values()) <= self.max_size
        assert len(self.kept) == len(self.model) <= self.max_entries


TestMapping = Mapping.TestCase
TestMapping.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_a_long_run_keeps_its_sums() -> None:
    """100,000 operations on 10,000 keys of all sizes: bounds and sums hold, and no ghost outnumbers the entries."""
    source = random.Random(11)
    kept: S3Fifo[int, int] = S3Fifo(50_000, 1_000)
    sizes: dict[int, int] = {}
    for _ in range(100_000):
        key = min(int(source.paretovariate(0.5)), 10_000)
        if kept.get(key) is None:
            sizes[key] = source.randrange(1, 200)
            gone = kept.put(key, key, sizes[key])
            assert all(kept.peek(other) is None for other, _ in gone)
        elif source.random() < 0.01:
            kept.pop(key)
        assert kept.size <= 50_000
        assert len(kept) <= 1_000
        assert len(kept._ghosts) <= len(kept)
    assert kept.size == sum(sizes[key] for key, _ in kept)
