"""Reads a command's help from its source; no module of its plugin is imported."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any

import click

# The arguments of a click command that determine its line in a list, with their types.
READ: dict[str, tuple[type, ...]] = {
    "help": (str, type(None)), "short_help": (str, type(None)), "hidden": (bool,), "deprecated": (bool, str)
}  # fmt: skip
MAKERS = ("command", "group")
"""A decorator makes a command if its name ends with one of these: ``click.command``, ``localagent_cli.command``."""


def read_command(name: str, place: str) -> click.Command | None:
    """Return a command that has the help of another and does nothing; None if the source is not clear enough.

    Two forms are understood: a function with a decorator that makes a command, and a call that is assigned to a name.
    The help must be a string literal or the function's docstring.

    Args:
        name: The command's name.
        place: Its location ``package.module:name``, as in an entry point.
    """
    module, _, attribute = place.partition("[")[0].partition(":")
    try:
        tree = _parsed(module.strip())
        return None if tree is None else _described(name, tree, attribute.strip())
    except (ImportError, LookupError, OSError, RecursionError, SyntaxError, ValueError):
        return None


@functools.cache
def _parsed(module: str) -> ast.Module | None:
    """Return a module's syntax tree; None if it has no source.

    ``importlib.util.find_spec`` imports the parent package of a module, so it is called only for the outermost package.
    """
    outermost, *inner = module.split(".")
    found = importlib.util.find_spec(outermost)
    name = outermost
    for part in inner:
        if found is None:
            return None
        name = f"{name}.{part}"
        found = PathFinder.find_spec(name, found.submodule_search_locations or ())
    get_source = getattr(found and found.loader, "get_source", None)
    source = get_source(name) if get_source is not None else None
    return None if source is None else ast.parse(source)


def _described(name: str, tree: ast.Module, attribute: str) -> click.Command | None:
    for node in reversed(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == attribute:
            makers = [one for one in node.decorator_list if _makes_command(one)]
            return _command(name, makers[0], ast.get_docstring(node, clean=False)) if makers else None
        if isinstance(node, ast.Assign | ast.AnnAssign) and attribute in _assigned(node):
            return _command(name, node.value, None) if isinstance(node.value, ast.Call) else None
    return None


def _makes_command(decorator: ast.expr) -> bool:
    maker = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = getattr(maker, "attr", getattr(maker, "id", ""))
    return str(name).lower().endswith(MAKERS)


def _assigned(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _command(name: str, maker: ast.expr, docstring: str | None) -> click.Command | None:
    given: dict[str, Any] = {}
    for keyword in _keywords(maker):
        if keyword.arg is None:  # ``**more`` may contain the help
            return None
        if keyword.arg in READ:
            given[keyword.arg] = ast.literal_eval(keyword.value)
            if not isinstance(given[keyword.arg], READ[keyword.arg]):
                return None
    return click.Command(name, **{**given, "help": docstring if given.get("help") is None else given["help"]})


def _keywords(maker: ast.expr) -> Iterator[ast.keyword]:
    """Yield the keyword arguments of a call, and of the call that it calls, as in ``command(...)(function)``."""
    while isinstance(maker, ast.Call):
        yield from maker.keywords
        maker = maker.func
