"""The order of a hook's steps: a stable topological sort that can say why each step stands where it stands.

Three sources decide, the stronger first: ``must`` constraints of implementations, the order in the settings, and
``before``/``after`` of implementations. What they leave open the name decides, so that the order in which plugins
are found never matters. A weaker constraint that contradicts a stronger one is dropped; a contradiction among equals,
or of settings with a ``must``, is an error that shows the whole circle.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

import attrs

from localagent.errors import PluginError

EVERY = "*"
"""In ``before`` or ``after``: every other step of the hook."""


@attrs.frozen
class Entry:
    """A step that wants a place.

    Attributes:
        name: The plugin's name.
        before: Plugins or roles before which it must stand; ``*`` means all others.
        after: Plugins or roles behind which it must stand; ``*`` means all others.
        must: Settings may not override the two.
    """

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    must: bool = False


def role_of(name: str) -> str:
    """Return the role of a plugin: what stands before the first hyphen of its name."""
    return name.partition("-")[0]


def order_steps(entries: Sequence[Entry], settled: Sequence[str] = (), *, hook: str = "") -> dict[str, str]:
    """Put the steps of one hook into order.

    Args:
        entries: The steps, in any order.
        settled: The order in the settings; names of plugins that are not active are ignored.
        hook: The hook's name, for errors.

    Returns:
        The names in order, each with the reason for its place, in a few words.

    Raises:
        PluginError: Constraints contradict each other; the message shows the circle.
    """
    names = sorted(entry.name for entry in entries)
    graph = _Graph(names, hook)
    for edge in _declared(entries, must=True):
        graph.add(*edge)
    chain = [name for name in settled if name in names]
    for first, second in itertools.pairwise(chain):
        graph.add(first, second, f"settings put {first} before {second}")
    graph.freeze_strong()
    for edge in _declared(entries, must=False):
        graph.add_weak(*edge)
    return graph.sorted()


def _declared(entries: Sequence[Entry], *, must: bool) -> Iterable[tuple[str, str, str]]:
    """Yield what entries want: which step stands before which, and the reason."""
    names = sorted(entry.name for entry in entries)
    word = "must stand" if must else "stands"
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.must != must:
            continue
        for wanted in entry.before:
            for other in _matching(wanted, names, entry.name):
                yield entry.name, other, f"{entry.name} {word} before {wanted}"
        for wanted in entry.after:
            for other in _matching(wanted, names, entry.name):
                yield other, entry.name, f"{entry.name} {word} after {wanted}"


def _matching(wanted: str, names: Sequence[str], own: str) -> list[str]:
    return [name for name in names if name != own and wanted in (name, role_of(name), EVERY)]


class _Graph:
    def __init__(self, names: Sequence[str], hook: str) -> None:
        self._names = names
        self._hook = hook
        self._next: dict[str, dict[str, str]] = {name: {} for name in names}
        self._strong: dict[str, dict[str, str]] = {}

    def add(self, first: str, second: str, reason: str) -> None:
        circle = self._path(self._next, second, first)
        if circle is not None:
            reasons = [*circle, reason]
            raise PluginError(
                f"The steps of {self._hook or 'a hook'} cannot be put into order: {'; '.join(reasons)}.",
                mend=f"Change [order] {self._hook} in the settings, or leave one of these plugins out.",
            )
        self._next[first].setdefault(second, reason)

    def freeze_strong(self) -> None:
        self._strong = {name: dict(after) for name, after in self._next.items()}

    def add_weak(self, first: str, second: str, reason: str) -> None:
        if self._path(self._strong, second, first) is None:
            self.add(first, second, reason)

    def _path(self, graph: dict[str, dict[str, str]], start: str, goal: str) -> list[str] | None:
        """Return the reasons along a way from start to goal; None where there is none."""
        if start == goal:
            return []
        seen = {start}
        stack: list[tuple[str, list[str]]] = [(start, [])]
        while stack:
            name, reasons = stack.pop()
            for other, reason in graph[name].items():
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
