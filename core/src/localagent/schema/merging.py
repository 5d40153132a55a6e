"""Joins the fields of several events of a stream; ``joining`` has the table of the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_FIRST = frozenset({"id", "created", "model"})  # of an event: the first one counts
_ONCE = frozenset({"id", "role", "type"})  # within a delta: some servers repeat them

Rule = Callable[[str, Any, Any], Any]  # name, known value, new value -> the value to keep; neither is null


class _Pieces(list[str]):
    """A string that still grows. Its pieces are joined once; joining after each would take quadratic time."""

    __slots__ = ()


def fold(known: dict[str, Any], new: dict[str, Any], rule: Rule) -> None:
    """Add the fields of ``new`` to ``known``; if both have a value, the rule decides."""
    for name, value in new.items():
        old = known.get(name)
        if old is None:
            known[name] = value
        elif value is not None:
            known[name] = rule(name, old, value)


def of_head(name: str, old: Any, new: Any) -> Any:
    """The rule for the fields of an event."""
    return old if name in _FIRST and old else new


def of_choice(name: str, old: Any, new: Any) -> Any:
    """The rule for the fields of a choice."""
    return of_delta(name, old, new) if name == "text" else _last(name, old, new)


def _last(_: str, old: Any, new: Any) -> Any:
    return _longer(old, new, _last)


def of_delta(name: str, old: Any, new: Any) -> Any:
    """The rule for the fields of a delta, and of a tool call in it."""
    if isinstance(new, str):
        return _with_text(name, old, new)
    if isinstance(new, list) and isinstance(old, str | _Pieces):
        return _with_part([], "".join(old)) + new
    return _longer(old, new, of_delta)


def _longer(old: Any, new: Any, rule: Rule) -> Any:
    if isinstance(old, list) and isinstance(new, list):
        old.extend(new)
        return old
    if isinstance(old, dict) and isinstance(new, dict):
        fold(old, new, rule)
        return old
    return new


def _with_text(name: str, old: Any, new: str) -> Any:
    """Return the value of a delta's field after a string arrived for it."""
    if not new or (name in _ONCE and old):
        return old
    if isinstance(old, _Pieces):
        old.append(new)
        return old
    if isinstance(old, list):
        return _with_part(old, new)
    if not isinstance(old, str):
        return new
    if name == "name":
        # Some servers send a function's name in pieces, others repeat it with every piece of arguments.
        return old if old == new else old + new
    return _Pieces((old, new))


def _with_part(parts: list[Any], text: str) -> list[Any]:
    """Add text to content that came as a list of parts: Mistral streams thinking as parts and the rest as strings."""
    last = parts[-1] if parts else None
    if isinstance(last, dict) and last.get("type") == "text":
        fold(last, {"text": text}, of_delta)
    elif text:
        parts.append({"type": "text", "text": text})
    return parts


def finished(value: Any) -> Any:
    """Return a copy of a joined value with plain strings, which no longer grow."""
    if isinstance(value, dict):
        return {name: finished(item) for name, item in value.items()}
    if isinstance(value, _Pieces):
        return "".join(value)
    if isinstance(value, list):
        return [finished(item) for item in value]
    return value
