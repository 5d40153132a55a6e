"""What may be given as a plugin: a class, a factory or an object.

Before a plugin is made, its class says what it is called, which settings it takes and whether it is on by default. So
the class must be known of each: a factory names it as the type that it returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import PurePath
from types import ModuleType, SimpleNamespace
from typing import Any, Self, TypeAlias, get_type_hints

from localagent.errors import PluginError
from localagent.plugin import Plugin

PluginSource: TypeAlias = type[Plugin] | Callable[[Any], Plugin] | Plugin
"""A class or a factory, which is called with the filled settings; or a plugin that was made already."""

_EXPECTED = "expected a subclass of localagent.Plugin, a function that returns one, or an object of one"


def plugin_class(source: object, subject: str, mend: str | None = None) -> type[Plugin]:
    """Return the class of the plugin that a source stands for.

    Args:
        source: A class, a factory or an object.
        subject: How an error begins, such as ``plugins[2] of the client``.
        mend: What an error says to do about it.

    Raises:
        PluginError: It is none of them, or a factory that does not say what it returns.
    """
    if isinstance(source, Plugin):
        return type(source)
    if not callable(source):
        in_settings = 'Name installed plugins in the settings: {"use": ["NAME"]}' if isinstance(source, str) else None
        raise PluginError(f"{subject} is {described(source)}; {_EXPECTED}.", mend=mend or in_settings)
    made = source if isinstance(source, type) else _returned(source)
    if isinstance(made, type) and issubclass(made, Plugin):
        return made
    if isinstance(source, type):
        raise PluginError(f"{subject} is {described(source)}, no subclass of localagent.Plugin.", mend=mend)
    example = "def make(settings: MySettings) -> MyPlugin"
    raise PluginError(
        f"{subject} is {described(source)}, which does not say which plugin it returns; write: {example}.", mend=mend
    )


def used_twice(name: str) -> PluginError:
    """Return the error for a plugin object that two clients would have open at a time."""
    return PluginError(
        f"Plugin {name} was given as an object, and another client has it open.",
        mend="Give its class, or a function that returns a new one, so that each client has its own.",
    )


def _returned(factory: Callable[..., Any]) -> object:
    """Return the type that a factory says it returns; None where it says none that can be read."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        return factory
    function = inspect.unwrap(factory if inspect.isroutine(factory) else type(factory).__call__)
    if not hasattr(function, "__globals__") or inspect.iscoroutinefunction(function):
        return None
    try:
        # Only this annotation is read: the others may be of names that there are for type checkers only.
        hint = SimpleNamespace(__annotations__={"return": function.__annotations__.get("return")})
        names = inspect.getclosurevars(function).nonlocals
        returned: object = get_type_hints(hint, function.__globals__, dict(names)).get("return")
    except (NameError, AttributeError, TypeError, SyntaxError):
        return None
    return getattr(factory, "__self__", None) if returned is Self else returned


def described(source: object) -> str:
    """Say what was given as a plugin: its name, and where it is written if it is a function."""
    if isinstance(source, ModuleType):
        return f"the module {source.__name__}"
    if isinstance(source, type):
        return f"the class {source.__qualname__}"
    if (code := getattr(source, "__code__", None)) is not None:
        return f"the function {code.co_qualname} ({PurePath(code.co_filename).name}:{code.co_firstlineno})"
    return f"an object of the type {type(source).__name__}"
