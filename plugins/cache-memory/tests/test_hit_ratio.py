"""Hit ratios on generated traces, compared with LRU and the optimum; run with ``-s`` to see the rows."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from cache_rivals import lru_hits, optimal_hits, s3fifo_hits
from cache_traces import loop, recent, shifting, with_scans, zipf

ROOM, KEYS, LENGTH = 500, 5_000, 30_000


def popular(exponent: float) -> list[int]:
    return zipf(1, keys=KEYS, length=LENGTH, exponent=exponent)


def scanned(exponent: float) -> list[int]:
    return with_scans(popular(exponent), every=1_000, scan=1_000)


TRACES: dict[str, Callable[[], list[int]]] = {
    "zipf 0.6": lambda: popular(0.6),
    "zipf 0.8": lambda: popular(0.8),
    "zipf 1.0": lambda: popular(1.0),
    "zipf 1.2": lambda: popular(1.2),
    "zipf 0.6 with scans": lambda: scanned(0.6),
    "zipf 0.8 with scans": lambda: scanned(0.8),
    "zipf 1.0 with scans": lambda: scanned(1.0),
    "loop of 1.1 rooms": lambda: loop(keys=ROOM * 11 // 10, length=LENGTH),
    "loop of 1.5 rooms": lambda: loop(keys=ROOM * 3 // 2, length=LENGTH),
    # The two below promise nothing. Ghosts reach back two rooms: in a longer loop nobody comes back in time. And what
    # is asked for again soon, once, is LRU's own game.
    "loop of 3 rooms": lambda: loop(keys=ROOM * 3, length=LENGTH),
    "popular ones change": lambda: shifting(1, keys=KEYS // 2, length=LENGTH, phases=6, exponent=0.9),
    "what was asked lately": lambda: recent(1, length=LENGTH, fresh=0.3, mean=0.7 * ROOM),
}
ZIPF = [name for name in TRACES if name.startswith("zipf") and not name.endswith("scans")]
SCANS = [name for name in TRACES if name.endswith("scans")]
LOOPS = ["loop of 1.1 rooms", "loop of 1.5 rooms"]


@attrs.frozen
class Ratios:
    """Hits a request, by three policies."""

    ours: float
    lru: float
    optimum: float

    @property
    def closed(self) -> float:
        """The share of the gap between LRU and the optimum that is closed."""
        return (self.ours - self.lru) / (self.optimum - self.lru)


@pytest.fixture(scope="module")
def ratios() -> dict[str, Ratios]:
    """The rows, printed."""
    rows = {}
    print(f"\n{'trace':24}{'S3-FIFO':>9}{'LRU':>9}{'optimum':>9}{'of the gap':>12}")
    for name, make in TRACES.items():
        trace = make()
        hits = (count(trace, ROOM) / len(trace) for count in (s3fifo_hits, lru_hits, optimal_hits))
        row = rows[name] = Ratios(*hits)
        print(f"{name:24}{row.ours:9.1%}{row.lru:9.1%}{row.optimum:9.1%}{row.closed:12.0%}")
    return rows


@pytest.mark.parametrize("trace", ZIPF)
def test_popular_keys_are_kept_at_least_as_well_as_by_lru(trace: str, ratios: dict[str, Ratios]) -> None:
    """On Zipf traces."""
    assert ratios[trace].ours >= ratios[trace].lru


@pytest.mark.parametrize("trace", SCANS)
def test_scans_do_not_push_out_popular_keys(trace: str, ratios: dict[str, Ratios]) -> None:
    """On Zipf traces with scans a fifth of what LRU leaves to the optimum is gained, and more."""
    assert ratios[trace].closed >= 0.2


@pytest.mark.parametrize("trace", LOOPS)
def test_a_loop_that_does_not_fit_is_kept_in_part(trace: str, ratios: dict[str, Ratios]) -> None:
    """LRU has not one hit on a loop longer than its room."""
    assert ratios[trace].lru == 0
    assert ratios[trace].ours > 0.3


def test_nobody_beats_the_optimum(ratios: dict[str, Ratios]) -> None:
    """The rivals are counted rightly: the optimum is at least as good as both, on every trace."""
    assert [name for name, row in ratios.items() if max(row.ours, row.lru) > row.optimum] == []
