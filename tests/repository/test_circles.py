"""No module is in a circle of imports at run time; those that only type checkers follow stand on a list."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = ["localagent", "localagent_gateway"]
#: Imports for type checkers that close a circle, as (importer, imported). The list may shrink and not grow.
TYPE_CHECKING = {
    ("localagent.calls.answer_stream", "localagent.calls.stream_run"),
    ("localagent.calls.attempts", "localagent.calls.engine"),
    ("localagent.calls.candidates", "localagent.calls.engine"),
    ("localagent.calls.run", "localagent.calls.engine"),
    ("localagent.calls.stream_run", "localagent.calls.engine"),
    ("localagent.calls.stream_source", "localagent.calls.engine"),
    ("localagent.pipeline.failures", "localagent.pipeline.steps"),
    ("localagent.pipeline.steps", "localagent.pipeline.failures"),
    ("localagent.records.attempt", "localagent.records.call"),
    ("localagent.records.call", "localagent.records.attempt"),
    ("localagent.structuring.secrets", "localagent.settings.model"),
    ("localagent.structuring.secrets", "localagent.settings.provider"),
    ("localagent_gateway.http.sending", "localagent_gateway.http.connections"),
    ("localagent_gateway.status.health", "localagent_gateway.processes.worker"),
}


def imports_of(package: str, *, type_checking: bool) -> set[tuple[str, str]]:
    """Return importer and imported for each import between two modules of a package."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=not type_checking, cache_dir=None)
    return {(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)}


def closing(package: str) -> set[tuple[str, str]]:
    """Return the imports for type checkers from whose target a way of imports leads back."""
    every, real = imports_of(package, type_checking=True), imports_of(package, type_checking=False)
    return {(one, other) for one, other in every - real if one in reached_from(other, every)}


def reached_from(start: str, imports: set[tuple[str, str]]) -> set[str]:
    """Return all modules to which a way of imports leads."""
    found, left = {start}, [start]
    while left:
        module = left.pop()
        new = {other for one, other in imports if one == module} - found
        found |= new
        left += new
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_at_run_time(package: str) -> None:
    """What a module needs when it is imported, or when a function of it runs, does not need that module."""
    needs: dict[str, set[str]] = {}
    for one, other in imports_of(package, type_checking=False):
        needs.setdefault(one, set()).add(other)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(f"A circle: {' -> '.join(error.args[1])}")


def test_the_circles_of_type_checkers_are_known() -> None:
    """A new one is turned round instead of listed; one that has gone leaves the list."""
    found = {pair for package in PACKAGES for pair in closing(package)}
    assert found == TYPE_CHECKING
