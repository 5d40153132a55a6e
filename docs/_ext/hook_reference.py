"""A reference of all the hooks that a module specifies, made from the specifications themselves.

In a page, the comment ``<!-- hooks of localagent.hooks.hookspecs -->`` becomes one table of all hooks in the order of a
request's life and one section a hook: its contract, signature, kind, scope, phase, neighbours, and its colour, which
is whether it may await.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxRole

from localagent.plugin_api import Kind
from localagent.plugin_api.kinds import SPEC_ATTRIBUTE, HookSpec

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PLACE = re.compile(r"^<!-- hooks of ([\w.]+) -->$", re.MULTILINE)
CLAUSE = re.compile(r"^(When|Result|None|Raise): ", re.MULTILINE)


def specs_of(module: ModuleType) -> list[HookSpec]:
    """Return the hooks that a module specifies, in the order of its source."""
    found = [getattr(value, SPEC_ATTRIBUTE, None) for value in vars(module).values()]
    return [spec for spec in found if isinstance(spec, HookSpec)]


def reference(specs: list[HookSpec]) -> str:
    """Return the whole reference as Markdown."""
    overview = ["| hook | kind | colour | scope | phase |", "|---|---|---|---|---|", *map(overview_row, specs)]
    neighbours = zip([None, *specs], specs, [*specs[1:], None], strict=False)
    sections = [section(spec, before, after) for before, spec, after in neighbours]
    return "\n\n".join([kinds(), "\n".join(overview), *sections])


def kinds() -> str:
    return "\n\n".join(f"{badge(kind)}\n: {kind.value}" for kind in Kind)


def overview_row(spec: HookSpec) -> str:
    return f"| {link(spec)} | {badge(spec.kind)} | {colour(spec)} | {spec.scope} | {spec.phase} |"


def section(spec: HookSpec, before: HookSpec | None, after: HookSpec | None) -> str:
    facts = {
        "kind": f"{badge(spec.kind)} {spec.kind.value}",
        "colour": colour(spec),
        "scope": f"asked per {spec.scope}",
        "phase": spec.phase,
        "operations": ", ".join(spec.operations) if spec.scope in ("call", "attempt") else "does not matter",
        "a step that raises": spec.on_raise.value,
        "limit": "none: a plain function cannot be interrupted" if spec.sync else f"{spec.limit:g} s a step",
        "previous hook": link(before),
        "next hook": link(after),
        "since": spec.since,
    }
    table = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    parts = [f"(hook-{spec.name})=\n## {spec.name}", *contract(spec), signature(spec), "\n".join(table)]
    if spec.pending:
        parts.insert(1, f":::{{note}}\nComes with {spec.pending}; until then a plugin that uses it is refused.\n:::")
    return "\n\n".join(parts)


def contract(spec: HookSpec) -> Iterator[str]:
    """Yield the docstring: its summary, then a definition for each clause."""
    summary, *clauses = CLAUSE.split(inspect.getdoc(spec.function) or "")
    yield summary.strip()
    for name, text in zip(clauses[::2], clauses[1::2], strict=True):
        yield f"{name}\n: {' '.join(text.split())}"


def signature(spec: HookSpec) -> str:
    asynchronous = "" if spec.sync else "async "
    arguments = str(inspect.signature(spec.function)).replace("'", "")  # the annotations are strings
    return f"```python\n{asynchronous}def {spec.name}{arguments}: ...\n```"


def badge(kind: Kind) -> str:
    return f"{{hook-kind}}`{kind.name}`"


def colour(spec: HookSpec) -> str:
    return "plain function" if spec.sync else "async (a plain function is welcome)"


def link(spec: HookSpec | None) -> str:
    return f"[{spec.name}](#hook-{spec.name})" if spec else "none"


class KindRole(SphinxRole):
    """``{hook-kind}`GATE```: the kind's name in the kind's colour."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [nodes.inline(self.rawtext, self.text, classes=["hook-kind", self.text.lower()])], []


def insert_references(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the comments of a page before it is parsed; ``source`` holds its text."""
    source[0] = PLACE.sub(lambda found: reference(specs_of(importlib.import_module(found[1]))), source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("hook-kind", KindRole())
    app.connect("source-read", insert_references)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
