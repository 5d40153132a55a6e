"""Every hook's docstring is its contract: when, result, what None means, what a raise means."""

from __future__ import annotations

import inspect
import re

import pytest

from localagent.hooks import hookspecs
from localagent.plugin_api import Kind
from localagent.plugin_api.kinds import SPEC_ATTRIBUTE, HookSpec

SPECS: list[HookSpec] = [
    getattr(value, SPEC_ATTRIBUTE) for value in vars(hookspecs).values() if hasattr(value, SPEC_ATTRIBUTE)
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_docstring_is_the_contract(spec: HookSpec) -> None:
    """A summary, then When, Result, None (where a result counts) and Raise, in this order."""
    summary, *clauses = re.split(r"(?m)^(When|Result|None|Raise): ", inspect.getdoc(spec.function) or "")
    expected = ["When", "Result", "Raise"] if spec.kind is Kind.NOTIFY else ["When", "Result", "None", "Raise"]

    assert summary.strip().endswith(".")
    assert clauses[::2] == expected


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_specification_has_its_colour(spec: HookSpec) -> None:
    """A hook declared synchronous is a plain function, every other one a coroutine function."""
    assert inspect.iscoroutinefunction(spec.function) is not spec.sync
