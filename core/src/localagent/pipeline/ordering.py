"""The order of a hook's steps: a stable topological sort that also returns the reason for each position.

There are three kinds of constraints, strongest first: ``must`` constraints of implementations, the order in the
settings, and ``before``/``after`` of implementations. Otherwise steps are sorted by name, so the order in which plugins
are found never matters. A weaker constraint that contradicts a stronger one is dropped. A contradiction between equal
constraints, or between the settings and a ``must``, is an error that shows the whole cycle.
"""

from __future__ import annotations

import copy
import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence

from localagent.errors import PluginError
from localagent.plugin_api.kinds import HookImpl

EVERY = "*"
"""In ``before`` or ``after``: every other step of the hook."""


def role_of(name: str) -> str:
    """Return the role of a plugin: the part of its name before the first hyphen."""
    return name.partition("-")[0]


def order_steps(marks: Mapping[str, HookImpl], settled: Sequence[str], hook: str) -> dict[str, str]:
    """Sort the steps of one hook.

    Args:
        marks: The ``hookimpl`` arguments of each step, by plugin name; in any order.
        settled: The order in the settings; names of plugins that are not active are ignored.
        hook: The hook's name, for errors.

    Returns:
        The names in order, each with a short reason for its position.

    Raises:
        PluginError: Constraints contradict each other; the message shows the cycle.
    """
    graph = _Graph(sorted(marks), hook)
    for edge in _declared(marks, must=True):
        graph.add(*edge)
    for first, second in itertools.pairwise(name for name in settled if name in marks):
        graph.add(first, second, f"settings put {first} before {second}")
    strong = copy.deepcopy(graph)
    for first, second, reason in _declared(marks, must=False):
        if strong.path(second, first) is None:
            graph.add(first, second, reason)
    return graph.sorted()


def _declared(marks: Mapping[str, HookImpl], *, must: bool) -> Iterable[tuple[str, str, str]]:
    """Yield the constraints of the steps: the earlier step, the later step, and the reason."""
    names = sorted(marks)
    word = "must run" if must else "runs"
    for name in names:
        if marks[name].must != must:
            continue
        for wanted in marks[name].before:
            for other in _matching(wanted, names, name):
                yield name, other, f"{name} {word} before {wanted}"
        for wanted in marks[name].after:
            for other in _matching(wanted, names, name):
                yield other, name, f"{name} {word} after {wanted}"


def _matching(wanted: str, names: Sequence[str], own: str) -> list[str]:
    return [name for name in names if name != own and wanted in (name, role_of(name), EVERY)]


class _Graph:
    def __init__(self, names: Sequence[str], hook: str) -> None:
        self._names = names
        self._hook = hook
        self._next: dict[str, dict[str, str]] = {name: {} for name in names}

    def add(self, first: str, second: str, reason: str) -> None:
        circle = self.path(second, first)
        if circle is not None:
            reasons = [*circle, reason]
            raise PluginError(
                f"The steps of {self._hook} cannot be ordered: {'; '.join(reasons)}.",
                hint=f"Change [order] {self._hook} in the settings, or remove one of these plugins.",
            )
        self._next[first].setdefault(second, reason)

    def path(self, start: str, goal: str) -> list[str] | None:
        """Return the reasons along a path from start to goal; None if there is no path."""
        if start == goal:
            return []
        seen = {start}
        stack: list[tuple[str, list[str]]] = [(start, [])]
        while stack:
            name, reasons = stack.pop()
            for other, reason in self._next[name].items():
                if other == goal:
                    return [*reasons, reason]
                if other not in seen:
                    seen.add(other)
                    stack.append((other, [*reasons, reason]))
        return None

    def sorted(self) -> dict[str, str]:
        waiting = dict.fromkeys(self._names, 0)
        reasons: dict[str, list[str]] = {name: [] for name in self._names}
        for after in self._next.values():
            for name, reason in after.items():
                waiting[name] += 1
                reasons[name].append(reason)
        for name, after in self._next.items():
            reasons[name].extend(reason for reason in after.values() if reason.startswith(name))
        free = [name for name in self._names if not waiting[name]]
        heapq.heapify(free)
        placed: dict[str, str] = {}
        while free:
            name = heapq.heappop(free)
            placed[name] = "; ".join(dict.fromkeys(reasons[name])) or "by name"
            for other in self._next[name]:
                waiting[other] -= 1
                if not waiting[other]:
                    heapq.heappush(free, other)
        return placed
