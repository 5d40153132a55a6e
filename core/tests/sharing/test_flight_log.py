"""The log that the readers of one flight share: everybody reads the same, and what is held is bounded."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from localagent.records.responses import Chunk
from localagent.sharing.flight_log import Cursor, FlightLog


def chunk(size: int, letter: str = "x") -> Chunk:
    return Chunk(letter.encode() * size)


def test_a_reader_gets_the_past_and_then_what_comes() -> None:
    """Each event once, in order, no matter who joined when."""
    log = FlightLog()
    early = log.join()
    log.add([chunk(1, "a")])
    assert log.read(early) == [chunk(1, "a")]
    log.add([chunk(1, "b")])
    late = log.join()
    assert log.read(late) == [chunk(1, "a"), chunk(1, "b")]
    assert log.read(early) == [chunk(1, "b")]
    assert log.read(early) == log.read(late) == []


def test_all_is_kept_up_to_a_mebibyte() -> None:
    """Anyone who joins until then gets the beginning; one byte more, and nobody may join."""
    log = FlightLog()
    reader = log.join()
    log.add([chunk(1024 * 1024)])
    log.read(reader)
    assert (log.whole, log.held) == (True, 1)
    log.add([chunk(1)])
    assert not log.whole
    log.read(reader)
    assert log.held == 0
    with pytest.raises(ValueError, match="beginning"):
        log.join()


def test_what_one_has_not_read_is_held() -> None:
    """The slowest reader decides what may be dropped; its leaving frees it."""
    log = FlightLog(keep=1)
    fast, slow = log.join(), log.join()
    log.add([chunk(2), chunk(3)])
    log.read(fast)
    assert log.held == 2
    log.leave(slow)
    assert log.held == 0


def test_the_source_pauses_for_the_fastest_reader() -> None:
    """A quarter of a mebibyte behind is too far, one byte less is not; reading or its leaving decides again."""
    log = FlightLog()
    fast, slow = log.join(), log.join()
    log.add([chunk(256 * 1024 - 1)])
    assert not log.paused
    log.add([chunk(1)])
    assert log.paused
    log.read(fast)
    assert not log.paused
    log.leave(fast)
    assert log.paused
    log.leave(slow)
    assert not log.paused


def test_a_reader_that_is_too_far_behind_is_given_up() -> None:
    """When more comes, a mebibyte and a byte behind is too far; what it held up is dropped."""
    log = FlightLog()
    fast, slow = log.join(), log.join()
    log.add([chunk(1024 * 1024)])
    log.read(fast)
    assert log.add([chunk(1)]) == []
    log.read(fast)
    assert log.add([chunk(1)]) == [slow]
    log.read(fast)
    assert log.held == 0


def test_one_large_event_gives_nobody_up() -> None:
    """Who was near when it came had no chance to be faster."""
    log = FlightLog()
    readers = [log.join(), log.join()]
    assert log.add([chunk(5 * 1024 * 1024)]) == []
    assert [len(log.read(reader)) for reader in readers] == [1, 1]


KEEP, AHEAD, BEHIND = 40, 10, 40


class LogMachine(RuleBasedStateMachine):
    """Readers join, read and leave while events come; beside the log, a list of all that ever came."""

    def __init__(self) -> None:
        super().__init__()
        self.log = FlightLog(KEEP, AHEAD, BEHIND)
        self.came: list[Chunk] = []
        self.read: dict[Cursor, list[Chunk]] = {}

    def behind(self, cursor: Cursor) -> int:
        return sum(len(chunk.data) for chunk in self.came[len(self.read[cursor]) :])

    def size(self) -> int:
        return sum(len(chunk.data) for chunk in self.came)

    @precondition(lambda self: self.log.whole)
    @rule()
    def join(self) -> None:
        self.read[self.log.join()] = []

    @rule(sizes=st.lists(st.integers(0, 15), max_size=4))
    def add(self, sizes: list[int]) -> None:
        expected = {one for one in self.read if self.size() > KEEP and self.behind(one) > BEHIND}
        chunks = [Chunk(bytes([len(self.came) + place & 255]) * size) for place, size in enumerate(sizes)]
        assert set(self.log.add(chunks)) == expected
        self.came += chunks
        for cursor in expected:
            del self.read[cursor]

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def read_on(self, data: st.DataObject) -> None:
        cursor = data.draw(st.sampled_from(list(self.read)))
        self.read[cursor] += self.log.read(cursor)
        assert self.read[cursor] == self.came

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        cursor = data.draw(st.sampled_from(list(self.read)))
        del self.read[cursor]
        self.log.leave(cursor)
        self.log.leave(cursor)

    @invariant()
    def the_source_pauses_for_the_fastest(self) -> None:
        assert self.log.paused == (bool(self.read) and min(map(self.behind, self.read)) >= AHEAD)

    @invariant()
    def no_more_is_held_than_may_be_read(self) -> None:
        if self.size() <= KEEP:
            assert self.log.held == len(self.came)
        else:
            slowest = min((len(read) for read in self.read.values()), default=len(self.came))
            assert self.log.held == len(self.came) - slowest

    @invariant()
    def it_counts(self) -> None:
        assert (self.log.events, self.log.size) == (len(self.came), self.size())


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(derandomize=True, deadline=None, max_examples=100)
