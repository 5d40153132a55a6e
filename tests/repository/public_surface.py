"""Writes down what users see: public names with signatures, settings with defaults, the help of every command."""

from __future__ import annotations

import enum
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, get_args, get_origin

import attrs
from reference.commands_page import commands

from localagent.settings import setting_fields
from localagent.settings.model import Settings
from localagent.structuring.fields import expected

WIDTH = 80

# The public modules of the core, beside ``localagent`` itself; each lists its names in ``__all__``.
DOORS = [
    "localagent.errors",
    "localagent.http_answers",
    "localagent.instances",
    "localagent.pipeline",
    "localagent.plugin_api",
    "localagent.records",
    "localagent.reporting",
    "localagent.runtime",
    "localagent.schema",
    "localagent.settings",
    "localagent.supervision",
    "localagent.timing",
]


def public_names(package: ModuleType) -> Iterator[str]:
    """Yield each public name with its signature; a class with its bases, properties and public methods."""
    for name in sorted(package.__all__):
        value = getattr(package, name)
        if inspect.isclass(value):
            bases = ", ".join(base.__name__ for base in value.__bases__)
            yield f"class {name}({bases}): {_signature(value)}"
            yield from _members(value)
        elif inspect.isroutine(value):
            yield f"def {name}{_signature(value)}"
        else:
            yield f"{name}: {type(value).__name__}"


def _members(kind: type) -> Iterator[str]:
    if issubclass(kind, enum.Enum):
        yield f"    {', '.join(member.name for member in kind)}"
        return
    for name, value in sorted(vars(kind).items()):
        if isinstance(value, property) and not name.startswith("_"):
            yield f"    {name}: property"
        elif isinstance(value, classmethod | staticmethod) and not name.startswith("_"):
            yield f"    {type(value).__name__} {name}{_signature(value.__func__)}"
        elif inspect.isfunction(value) and not name.startswith("_"):
            yield f"    def {name}{_signature(value)}"


def _signature(value: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    except (TypeError, ValueError):  # built into the interpreter
        return "(...)"


def settings_reference() -> Iterator[str]:
    """Yield every setting with what is expected and its default: of the core and of each installed plugin."""
    yield from _settings("", Settings)
    for point in sorted(entry_points(group="localagent"), key=lambda point: point.name):
        yield from _settings(f"plugins.{point.name}.", point.load().settings_class)


def _settings(place: str, kind: type) -> Iterator[str]:
    defaults = {field.name: field.default for field in attrs.fields(kind)}
    for key, field in setting_fields(kind).items():
        yield f"{place}{key}: {expected(field.kind)} = {_default(defaults[field.attribute])}"
        for inner in _classes(field.kind):
            yield from _settings(f"{place}{key}.", inner)


def _classes(kind: Any) -> Iterator[type]:
    """Yield the settings classes in a type: its own, its members', its items'."""
    if isinstance(kind, type) and attrs.has(kind) and not hasattr(kind, "expected_settings"):
        yield kind
    elif get_origin(kind) is not None:
        for item in get_args(kind):
            yield from _classes(item)


def _default(default: Any) -> str:
    if default is attrs.NOTHING:
        return "(required)"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return repr(default.factory())
    return repr(default)


def help_of_commands() -> Iterator[str]:
    """Yield the help of every command, those of plugins included."""
    for command, context in commands(WIDTH):
        yield f"$ {context.command_path} --help\n{command.get_help(context)}\n"


def loaded_by_import() -> list[str]:
    """Return the modules outside the standard library that ``import localagent`` loads."""
    program = (
        "import sys; before = {*sys.modules}; import localagent; "
        "print(*sorted(n for n in {*sys.modules} - before if n.partition('.')[0] not in sys.stdlib_module_names))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()
