"""Few rows in which every two values of every two factors meet: a pairwise covering array."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random

Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]

CANDIDATES = 40  # rows that are tried for each row that is taken


def covering_rows(factors: Mapping[str, Sequence[str]], seed: int = 1) -> list[Row]:
    """Return rows that cover all pairs of values, found greedily: the best of some random candidates is taken.

    The method is that of AETG (Cohen and others, 1997, doi:10.1109/32.605761): a candidate begins with a pair that is
    still missing and gets, factor by factor, the value that covers most of what is missing.

    Args:
        factors: The values that each factor can have; at least two factors.
        seed: Of the random source; the same factors and seed give the same rows.
    """
    random = Random(seed)
    missing = set(pairs_of(factors))
    rows: list[Row] = []
    while missing:
        candidates = [_candidate(factors, missing, random) for _ in range(CANDIDATES)]
        best = max(candidates, key=lambda row: len(missing.intersection(pairs_in(row))))
        missing.difference_update(pairs_in(best))
        rows.append(best)
    return rows


def pairs_of(factors: Mapping[str, Sequence[str]]) -> Iterator[Pair]:
    """Yield every two values of every two factors."""
    for one, other in itertools.combinations(sorted(factors), 2):
        for left, right in itertools.product(factors[one], factors[other]):
            yield (one, left), (other, right)


def pairs_in(row: Row) -> list[Pair]:
    """Return the pairs that a row covers."""
    return list(itertools.combinations(sorted(row.items()), 2))


def _candidate(factors: Mapping[str, Sequence[str]], missing: set[Pair], random: Random) -> Row:
    row = dict(random.choice(sorted(missing)))
    rest = [name for name in factors if name not in row]
    random.shuffle(rest)
    for name in rest:
        values = random.sample(list(factors[name]), len(factors[name]))
        row[name] = max(values, key=lambda value: _covered(row, name, value, missing))
    return row


def _covered(row: Row, name: str, value: str, missing: set[Pair]) -> int:
    new = (name, value)
    return sum((min(new, known), max(new, known)) in missing for known in row.items())
