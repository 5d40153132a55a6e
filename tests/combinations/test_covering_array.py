"""All plugins and their main settings, so that every two of them meet in every way, in a few runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from covering import Row, covering_rows, pairs_in, pairs_of
from exercise import OFF, ON, exercise, factors, installed
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import staged

from localagent import Call, Plugin, Request, hookimpl
from localagent.errors import InternalError

PLUGINS = installed()
ROWS = covering_rows(factors(sorted(PLUGINS)))


def named(row: Row) -> str:
    return "+".join(name if value == ON else f"{name}={value}" for name, value in sorted(row.items()) if value != OFF)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda number: f"row{number}")
async def test_a_row_of_the_array(number: int, valkey: str, tiny_model: Path, tmp_path: Path) -> None:
    """Whole answers, streams, embeddings, lists, repeated questions, failing targets, and the gateway's APIs."""
    print(named(ROWS[number]))
    async with staged(valkey, tiny_model, tmp_path) as stage:
        await exercise(ROWS[number], PLUGINS, stage, f"row{number}:")


def test_every_two_plugins_occur_in_all_four_states() -> None:
    """Both on, one of them, the other, and none."""
    for one, other in itertools.combinations(sorted(PLUGINS), 2):
        states = {(row[one] != OFF, row[other] != OFF) for row in ROWS}
        assert states == set(itertools.product((True, False), repeat=2)), (one, other)


@settings(max_examples=50, deadline=None)
@given(
    factors=st.dictionaries(
        st.text("abcdef", min_size=1, max_size=2),
        st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4, unique=True),
        min_size=2,
        max_size=5,
    )
)
def test_an_array_covers_all_pairs_of_values(factors: Mapping[str, Sequence[str]]) -> None:
    """Whatever the factors are; and no row chooses a value that its factor lacks."""
    rows = covering_rows(factors)
    assert {pair for row in rows for pair in pairs_in(row)} == set(pairs_of(factors))
    assert rows == covering_rows(factors)


def quarrelling(mine: str, other: str) -> type[Plugin]:
    """Return a plugin that breaks when another one is active as well, and only then."""

    class Quarrels(Plugin):
        name = mine

        @hookimpl
        async def pre_request(self, call: Call, request: Request) -> Request:
            if any(step.plugin == other for step in call.plan.pre_request):
                raise InternalError(f"{mine} cannot bear {other}.")
            return request

    return Quarrels


async def test_a_pair_that_is_broken_on_purpose_is_found(valkey: str, tiny_model: Path, tmp_path: Path) -> None:
    """Two plugins that work alone and not together break the rows that have both, and no other."""
    plugins: dict[str, Any] = {
        "request-a": quarrelling("request-a", "request-b"),
        "request-b": quarrelling("request-b", "request-a"),
        "cache-memory": PLUGINS["cache-memory"],
    }
    broken: list[Row] = []
    rows = covering_rows(factors(sorted(plugins)))
    async with staged(valkey, tiny_model, tmp_path) as stage:
        for number, row in enumerate(rows):
            try:
                await exercise(row, plugins, stage, f"broken{number}:")
            except InternalError:
                broken.append(row)
    assert broken == [row for row in rows if row["request-a"] == row["request-b"] == ON]
    assert broken
