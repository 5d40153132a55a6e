"""Tables written as TOML: what the standard library reads back is what was written."""

from __future__ import annotations

import datetime as dt
import tomllib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent_cli.toml_writing import write_toml

# TOML is Unicode text, which has no lone halves of surrogate pairs.
texts = st.text(st.characters(exclude_categories=["Cs"]))
plain = texts | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.datetimes() | st.dates() | st.times()
inline = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
tables = st.dictionaries(texts, inline, max_size=4)


def full(value: Any) -> Any:
    """Leave out tables with nothing in them, as ``write_toml`` does where a table is not part of a list."""
    if not isinstance(value, dict):
        return value
    kept = {key: full(item) for key, item in value.items()}
    return {key: item for key, item in kept.items() if item != {}}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the first draw makes tables of Unicode
@given(tables)
def test_what_is_written_reads_as_itself(table: dict[str, Any]) -> None:
    """Names and texts of any characters, numbers, dates, lists and tables."""
    assert tomllib.loads(write_toml(table)) == full(table)


def test_values_stand_before_tables() -> None:
    """What follows a header would belong to it."""
    assert write_toml({"a": {"b": {"c": 1}, "d": [{"e": 2.0}]}, "f": True}) == (
        "f = true\n\n[a]\nd = [{ e = 2.0 }]\n\n[a.b]\nc = 1\n"
    )


def test_nothing_is_left_out() -> None:
    """TOML has no such value."""
    assert write_toml({"a": None, "b": [{"c": None, "d": 1}], "e": {"f": None}}) == "b = [{ d = 1 }]\n"


def test_of_an_object_only_the_class_is_told() -> None:
    """Its text may hold anything."""
    assert write_toml({"a": object(), "b": dt.date(2026, 1, 2)}) == 'a = "a object"\nb = 2026-01-02\n'
