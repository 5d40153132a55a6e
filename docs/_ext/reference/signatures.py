"""Signatures as they are written: without the names of modules, quotes, and addresses of objects."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])|\btyping\.|\bcollections\.abc\.")


def signature(value: Any) -> str:
    """Return how something is called, such as ``(name: str = "") -> bool``; empty when that is unknown."""
    if isinstance(value, type) and issubclass(value, BaseException) and "__init__" not in vars(value):
        return ""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):  # built into the interpreter
        return ""
    returns = found.return_annotation if not isinstance(value, type) else inspect.Signature.empty
    parts = [_parameter(one) for one in _starred(list(found.parameters.values()))]
    return f"({', '.join(parts)})" + ("" if returns is inspect.Signature.empty else f" -> {annotation(returns)}")


def _starred(parameters: list[inspect.Parameter]) -> list[inspect.Parameter | str]:
    """Return the parameters of a call, with the marks of those that are positional or named only."""
    made: list[inspect.Parameter | str] = []
    for number, one in enumerate(parameters):
        before = parameters[number - 1].kind if number else None
        if one.kind is one.KEYWORD_ONLY and before not in (one.KEYWORD_ONLY, one.VAR_POSITIONAL):
            made.append("*")
        if before is one.POSITIONAL_ONLY and one.kind is not one.POSITIONAL_ONLY:
            made.append("/")
        if not (number == 0 and one.name in ("self", "cls")):
            made.append(one)
    return made


def _parameter(one: inspect.Parameter | str) -> str:
    if isinstance(one, str):
        return one
    star = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
    said = "" if one.annotation is one.empty else f": {annotation(one.annotation)}"
    default = (
        "" if one.default is one.empty else f" = {default_of(one.default)}" if said else f"={default_of(one.default)}"
    )
    return f"{star}{one.name}{said}{default}"


def annotation(value: Any) -> str:
    """Return an annotation as it is written in the source."""
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return MODULES.sub("", text.replace("'", "").replace("NoneType", "None"))


def default_of(value: Any) -> str:
    """Return a default value; ``...`` for one that has no short form."""
    if value is msgspec.UNSET or "factory" in repr(value):
        return "..."
    if isinstance(value, type) or inspect.isroutine(value):
        return str(value.__name__)
    shown = repr(value)
    plain = isinstance(value, str | int | float | bool | bytes | tuple | frozenset | type(None) | dict | list)
    return shown.replace("'", '"') if plain and len(shown) < 60 else "..."
