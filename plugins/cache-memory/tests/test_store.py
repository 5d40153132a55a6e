"""``AnswerStore``: whole keys, bounds, age and counts; and all of it at once, compared with a model."""

from __future__ import annotations

import gc
import tracemalloc

import attrs
import msgspec
import pytest
from cache_entries import entry_of, key_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from localagent import CacheEntry, ChatResponse, Usage
from localagent.records import CacheCounts, EntryFilter
from localagent_cache_memory import Counts
from localagent_cache_memory.sizes import size_of
from localagent_cache_memory.store import PAIRS, AnswerStore

TTL = 60.0
MIB = 2**20


def store(*, max_size: int = MIB, max_entries: int = 1000, ttl: float = TTL) -> AnswerStore:
    return AnswerStore(max_size, max_entries, ttl)


def test_a_key_that_differs_anywhere_finds_nothing() -> None:
    """Also where the digest is that of another entry: the second hash, the tenant and the rest are compared."""
    kept = store()
    kept.keep(entry_of(1), 0.0)
    key = key_of(1)
    for other in ({"check": bytes(16)}, {"size": 99}, {"model": "fake/other"}, {"tenant": "other"}):
        assert kept.lookup((msgspec.structs.replace(key, **other),), 0.0) is None
    assert kept.lookup((key,), 0.0) == entry_of(1)


def test_the_first_key_that_has_an_entry_answers() -> None:
    """In the order of the alias."""
    kept = store()
    kept.keep(entry_of(2), 0.0)
    kept.keep(entry_of(3), 0.0)
    assert kept.lookup((key_of(1), key_of(2), key_of(3)), 0.0) == entry_of(2)


def test_an_entry_lives_for_its_ttl_to_the_moment() -> None:
    """It answers just before, and not any more then; what has aged elsewhere lives for the rest."""
    kept = store()
    kept.keep(entry_of(1), 100.0)
    kept.keep(entry_of(2), 100.0, age=50.0)
    assert kept.lookup((key_of(1),), 159.9) is not None
    assert kept.lookup((key_of(1),), 160.0) is None
    assert kept.lookup((key_of(2),), 109.9) is not None
    assert kept.lookup((key_of(2),), 110.0) is None


def test_what_is_too_old_already_is_not_kept() -> None:
    """And what is there stays."""
    kept = store()
    kept.keep(entry_of(1), 0.0)
    kept.keep(entry_of(1, length=99), 0.0, age=TTL)
    assert kept.lookup((key_of(1),), 0.0) == entry_of(1)


def test_what_has_expired_frees_its_memory() -> None:
    """A span after the last deadline nothing is left, without a single lookup."""
    kept = store()
    for number in range(100):
        kept.keep(entry_of(number), number / 10)
    assert kept.expire(10.0 + TTL + kept.span, limit=60)
    assert not kept.expire(10.0 + TTL + kept.span, limit=60)
    figures = kept.figures()
    assert (figures.entries, figures.size, figures.total.expired) == (0, 0, 100)


def test_an_answer_that_takes_more_than_a_tenth_is_not_kept() -> None:
    """It would push out too many; an older one under its key goes, for it is outdated."""
    kept = store()
    kept.keep(entry_of(1), 0.0)
    kept.keep(entry_of(1, length=MIB // 10), 0.0)
    assert len(kept) == 0
    assert kept.figures().total == Counts(stored=1, too_large=1)


def test_counts_are_kept_by_model_and_by_entry() -> None:
    """Hits count for the model that answered, misses for the one that would have been asked."""
    kept = store(max_entries=2)
    for number, model in ((1, "fake/a"), (2, "fake/a"), (3, "fake/b")):
        kept.keep(entry_of(number, model=model), 0.0)
    for _ in range(3):
        kept.lookup((key_of(9, model="fake/a"), key_of(3, model="fake/b")), 0.0)
    kept.lookup((key_of(9, model="fake/a"), key_of(9, model="fake/b")), 0.0)
    kept.lookup((key_of(9, model="fake/unknown"),), 0.0)
    figures = kept.figures()
    assert figures.models == {"fake/a": Counts(misses=1, stored=2, evicted=1), "fake/b": Counts(hits=3, stored=1)}
    assert figures.total == Counts(hits=3, misses=2, stored=3, evicted=1)
    assert sorted((entry.model, entry.hits) for entry in kept.entries()) == [("fake/a", 0), ("fake/b", 3)]


def test_names_of_models_do_not_pile_up() -> None:
    """A server that accepts any model name fills no table; its counts are still added up."""
    kept = store(max_size=100 * MIB, max_entries=5000)
    for number in range(PAIRS + 50):
        kept.keep(entry_of(number, model=f"fake/{number}"), 0.0)
    figures = kept.figures()
    assert (len(figures.models), figures.total.stored) == (PAIRS, PAIRS + 50)


def test_what_is_meant_is_chosen_and_purged() -> None:
    """By model, tenant and age; the rest stays, and the sums are right."""
    kept = store()
    for number in range(10):
        kept.keep(entry_of(number, tenant="a"), 0.0)
        kept.keep(entry_of(number, tenant="b", model="fake/n"), 20.0)
    chosen = [
        (EntryFilter(), 20),
        (EntryFilter(tenant="a"), 10),
        (EntryFilter(model="fake/n"), 10),
        (EntryFilter(older=25.0), 10),
        (EntryFilter(tenant="b", older=25.0), 0),
    ]
    assert [len(kept.chosen(entry_filter, 30.0)) for entry_filter, _ in chosen] == [many for _, many in chosen]
    assert {reported.age for _, reported in kept.chosen(EntryFilter(tenant="b"), 30.0)} == {10.0}
    assert len(kept.chosen(EntryFilter(), TTL)) == 10  # those of a have expired
    assert kept.purge(EntryFilter(older=25.0), 30.0) == 10
    assert [reported.tenant for _, reported in kept.chosen(EntryFilter(), 30.0)] == ["b"] * 10
    assert kept.purge(EntryFilter(), 30.0) == 10
    assert (kept.figures().entries, kept.figures().size, len(kept._deadlines)) == (0, 0, 0)


def test_counts_are_kept_by_model_and_tenant() -> None:
    """Two tenants of one model are counted apart."""
    kept = store()
    for tenant in ("b", "a"):
        kept.keep(entry_of(1, tenant=tenant), 0.0)
    kept.lookup((key_of(1, tenant="a"),), 0.0)
    kept.lookup((key_of(2, tenant="b"),), 0.0)
    assert kept.counts() == (
        CacheCounts("fake/m", "a", hits=1, stored=1),
        CacheCounts("fake/m", "b", misses=1, stored=1),
    )


@pytest.mark.parametrize("length", [100, 4_000])
@pytest.mark.parametrize("events", [0, 20])
def test_the_counted_size_is_that_in_memory(length: int, events: int) -> None:
    """What entries are counted as is what Python has taken for them, ghosts and tables included: never much less."""
    kept = store(max_size=100 * MIB, max_entries=1500)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(4000):
            kept.keep(large(number, length, events), number / 100)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.65 < taken / kept.figures().size < 1.1


def large(number: int, length: int, events: int) -> CacheEntry:
    """Return an entry of which no two share anything that takes memory."""
    said = tuple(b"%d %d " % (number, event) + b"x" * length for event in range(events))
    text = f"{number} {'x' * length}"
    raw = b"%d " % number + b"x" * length
    usage = Usage(1000 + number, 2000 + number, 3000 + 2 * number)
    response = ChatResponse(
        raw=raw, model="fake/m", usage=usage, text=text, finish_reasons=("stop",), streamed=said or None
    )
    return CacheEntry(key_of(number), response, said or None, float(number))


@attrs.define
class Known:
    """The model's record of an entry that it should keep."""

    entry: CacheEntry
    deadline: float
    hits: int = 0


class Keeping(RuleBasedStateMachine):
    """Any sequence of stores, lookups and waits, on 10,000 keys of which a few are popular."""

    numbers = st.integers(0, 20) | st.integers(0, 9_999)
    tenants = st.sampled_from(["", "a", "b"])

    @initialize(max_size=st.integers(20_000, 200_000), max_entries=st.integers(1, 30))
    def begin(self, max_size: int, max_entries: int) -> None:
        self.max_size, self.max_entries = max_size, max_entries
        self.kept = AnswerStore(max_size, max_entries, TTL)
        self.known: dict[tuple[int, str], Known] = {}
        self.now = 1000.0

    @rule(number=numbers, tenant=tenants, length=st.integers(0, 3_000), age=st.sampled_from([0.0, 0.0, 30.0, 70.0]))
    def keep(self, number: int, tenant: str, length: int, age: float) -> None:
        entry = entry_of(number, length=length, tenant=tenant, stored=self.now)
        self.kept.keep(entry, self.now, age)
        if age >= TTL:
            return
        self.known[number, tenant] = Known(entry, self.now + TTL - age)
        found = self.kept.lookup((entry.key,), self.now)
        assert found is (entry if size_of(entry) <= self.max_size // 10 else None)

    @rule(number=numbers, tenant=tenants)
    def look_up(self, number: int, tenant: str) -> None:
        found = self.kept.lookup((key_of(number, tenant=tenant),), self.now)
        if found is not None:
            known = self.known[number, tenant]
            assert found is known.entry
            assert self.now < known.deadline

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(limit=st.integers(1, 10))
    def expire(self, limit: int) -> None:
        while self.kept.expire(self.now, limit):
            pass
        alive = [known for known in self.known.values() if known.deadline + self.kept.span > self.now]
        assert len(self.kept) <= len(alive)

    @invariant()
    def the_bounds_hold(self) -> None:
        figures = self.kept.figures()
        assert figures.size == sum(entry.size for entry in self.kept.entries()) <= self.max_size
        assert figures.entries == len(self.kept) <= self.max_entries
        assert len(self.kept._deadlines) == len(self.kept)


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


def test_ten_thousand_keys_stay_within_the_bounds() -> None:
    """After each of 10,000 entries of growing size: no byte and no entry too many, and the last one is there."""
    kept = store(max_entries=300)
    for number in range(10_000):
        kept.keep(entry_of(number, length=number), number / 1000)
        assert kept.lookup((key_of(number),), number / 1000) is not None
        assert len(kept) <= 300
        assert kept.figures().size <= MIB
