"""The public API: a page for ``localagent``, and one for each other public module."""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

from localagent.structuring.fields import Reading
from reference.docstrings import as_markdown, markdown
from reference.signatures import default_of, signature

MODULES = {
    "localagent": "what programs and most plugins need",
    "localagent.errors": "every failure, and what follows from it",
    "localagent.records": "what is passed between the core, plugins, caches and transports",
    "localagent.settings": "the settings and how they are read",
    "localagent.http_answers": "for authors of providers: status to error, retry hints, OpenAI-like servers",
    "localagent.schema": "for authors of providers: event streams and the OpenAI schema",
    "localagent.plugin_api": "hooks and HTTP routes of a plugin's own, and how plugins are found",
    "localagent.timing": "timeouts, threads, forks",
    "localagent.supervision": "for plugins that run processes and tasks",
    "localagent.runtime": "for programs that show or check a pipeline",
    "localagent.pipeline": "for programs that show or check a pipeline",
    "localagent.instances": "for programs that show or check a pipeline",
    "localagent_cli": "what commands of plugins may use",
}


def pages() -> dict[str, str]:
    """Return the pages by their names in ``docs/reference``."""
    made = {f"api/{name}.md": module_page(importlib.import_module(name), what) for name, what in MODULES.items()}
    rows = [f"| [`{name}`](api/{name}.md) | {what} |" for name, what in MODULES.items()]
    table = "\n".join(["| module | what it is for |", "|---|---|", *rows])
    listed = "\n".join(f"api/{name}" for name in MODULES)
    return {"api.md": f"{INTRODUCTION}\n\n{table}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n", **made}


INTRODUCTION = """# Python

Users and most authors of plugins need only `localagent`. The other modules are public as well, each for one purpose.
Everything else is private: no distribution may import it, and it can change without notice."""


def module_page(module: ModuleType, what: str) -> str:
    """Return the page of a module: its docstring, a list of its names, and a section for each."""
    names = sorted(module.__all__, key=str.lower)
    index = " · ".join(f"[{name}](#{name.lower()})" for name in names)
    sections = [section(name, getattr(module, name)) for name in names]
    return "\n\n".join([f"# `{module.__name__}`", markdown(module) or what, index, *sections]) + "\n"


def section(name: str, value: Any) -> str:
    """Return what there is to know of one public name."""
    return "\n\n".join(part for part in (f"## {name}", *_parts(name, value)) if part)


def _parts(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield from class_parts(name, value)
    elif inspect.isroutine(value):
        yield code(f"{_prefix(value)}def {name}{signature(value)}")
        yield markdown(value)
    elif inspect.ismodule(value):
        yield markdown(value)
    elif readings := [one for one in get_args(value) if isinstance(one, Reading)]:
        yield f"The type of a settings field: {readings[0].expected}."
    else:
        yield code(f"{name} = {default_of(value)}")


def class_parts(name: str, kind: type) -> Iterator[str]:
    """Yield the signature of a class, its docstring, and its public members."""
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base is not object)
    own = own_docstring(kind)
    yield code(f"class {name}{signature(kind)}" if not issubclass(kind, enum.Enum) else f"class {name}")
    yield f"Bases: `{bases}`" if bases else ""
    yield as_markdown(own)
    if issubclass(kind, enum.Enum):
        yield "\n".join(f"- `{member.name}`" for member in kind)
        return
    for member, value in vars(kind).items():
        if not member.startswith("_") and member != "with_traceback":
            yield from _member(member, value)


def own_docstring(kind: type) -> str:
    """Return the docstring that a class has itself."""
    return inspect.cleandoc(vars(kind).get("__doc__") or "")


def _member(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, property):
        yield f"### `{name}`\n\n{markdown(value)}"
    elif isinstance(value, classmethod | staticmethod):
        yield f"### `{name}{signature(value.__func__)}`\n\n{type(value).__name__}. {markdown(value.__func__)}"
    elif inspect.isfunction(value):
        yield f"### `{_prefix(value)}{name}{signature(value)}`\n\n{markdown(value)}"


def _prefix(value: Any) -> str:
    return "async " if inspect.iscoroutinefunction(value) else ""


def code(text: str) -> str:
    """Return a code block, with a parameter a line where a line would be too long."""
    if len(text) > 100 and "(" in text:
        head, _, rest = text.partition("(")
        inside, bracket, tail = rest.rpartition(")")
        text = f"{head}(\n    " + ",\n    ".join(_split(inside)) + f",\n{bracket}{tail}"
    return f"```py\n{text}\n```"


def _split(parameters: str) -> Iterator[str]:
    """Yield the parameters of a signature: parts between commas outside of brackets."""
    depth, start = 0, 0
    for place, letter in enumerate(parameters):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            yield parameters[start:place].strip()
            start = place + 1
    yield parameters[start:].strip()
