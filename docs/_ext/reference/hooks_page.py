"""The hooks: their contracts, in the order of a request, from the specifications themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

from front_page import specs

from localagent.plugin_api import Kind
from localagent.plugin_api.kinds import HookSpec
from localagent_gateway import hookspecs as gateway_hookspecs
from reference.docstrings import as_markdown
from reference.signatures import signature

CLAUSE = re.compile(r"^(When|Result|None|Raise): ", re.MULTILINE)

INTRODUCTION = """# Hooks

A plugin is a class whose methods implement hooks. A method is marked with `localagent.hookimpl` and takes the arguments
that it needs, by name; it declares no default values. The hooks are listed in the order of a request.

The **kind** of a hook says how the results of all plugins become one:
"""


def page() -> str:
    """Return the page."""
    own, gateway = specs(), specs(gateway_hookspecs)
    kinds = "\n".join(["| kind | how results become one |", "|---|---|", *(f"| {k.name} | {k.value} |" for k in Kind)])
    more = '# Hooks of the gateway\n\nPlugins implement them with `@hookimpl(of="gateway")`.'
    parts = [INTRODUCTION + "\n" + kinds, overview([*own, *gateway]), *sections(own), more, *sections(gateway)]
    return "\n\n".join(parts) + "\n"


def overview(specs: Sequence[HookSpec]) -> str:
    """Return the table of all hooks."""
    rows = [f"| {link(one)} | {one.kind.name} | {style(one)} | {one.scope} | {one.phase} |" for one in specs]
    return "\n".join(["| hook | kind | style | asked once per | phase |", "|---|---|---|---|---|", *rows])


def sections(specs: Sequence[HookSpec]) -> Iterator[str]:
    """Yield a section for each hook: contract, signature, and facts."""
    for before, one, after in zip([None, *specs], specs, [*specs[1:], None], strict=False):
        pending = f"> Comes with {one.pending}; until then a plugin that uses it is refused.\n\n" if one.pending else ""
        yield f"## {one.name}\n\n{pending}{contract(one)}\n\n{declaration(one)}\n\n{facts(one, before, after)}"


def contract(spec: HookSpec) -> str:
    """Return the docstring: its summary, then each clause."""
    summary, *clauses = CLAUSE.split(inspect.getdoc(spec.function) or "")
    listed = [
        f"- **{name}:** {as_markdown(' '.join(text.split()))}"
        for name, text in zip(clauses[::2], clauses[1::2], strict=True)
    ]
    return as_markdown(summary.strip()) + ("\n\n" + "\n".join(listed) if listed else "")


def declaration(spec: HookSpec) -> str:
    """Return how an implementation is declared."""
    return f"```py\n{'' if spec.sync else 'async '}def {spec.name}{signature(spec.function)}: ...\n```"


def facts(spec: HookSpec, before: HookSpec | None, after: HookSpec | None) -> str:
    """Return the table of what else holds for a hook."""
    rows = {
        "kind": f"{spec.kind.name}: {spec.kind.value}",
        "style": style(spec),
        "asked once per": spec.scope,
        "phase": spec.phase,
        "operations": ", ".join(spec.operations) if spec.scope in ("call", "attempt") else "does not matter",
        "a step that raises": spec.on_raise.value,
        "time limit": "none, because a plain function cannot be interrupted"
        if spec.sync
        else f"{spec.limit:g} s a step",
        "previous hook": link(before),
        "next hook": link(after),
        "since": spec.since,
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def style(spec: HookSpec) -> str:
    """Return whether an implementation may await."""
    return "plain function" if spec.sync else "async, or a plain function"


def link(spec: HookSpec | None) -> str:
    """Return a link to a hook's section."""
    return f"[{spec.name}](#{spec.name})" if spec else "none"
