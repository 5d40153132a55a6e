"""The errors: the tree, and what follows from each class."""

from __future__ import annotations

import inspect
import re

from localagent import errors
from localagent.errors import LocalAgentError

INTRODUCTION = """# Errors

Every failure is one of these; the whole description of each is in [`localagent.errors`](api/localagent.errors.md). What
follows from an error is in its `advice`, so no program needs a table of classes."""


def page() -> str:
    """Return the page."""
    tree = re.search(r"(?m)^( *LocalAgentError\n(?:.*[├└│].*\n?)+)", inspect.getdoc(errors) or "")
    shown = ["```text\n" + inspect.cleandoc(tree[1]) + "\n```"] if tree else []
    kinds = [kind for name in errors.__all__ if _is_error(kind := getattr(errors, name))]
    columns = ("class", "status", "code", "same target again", "another target", "later", "counts for breakers")
    rows = [row(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)]
    table = "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows])
    return (
        "\n\n".join([INTRODUCTION, *shown, "The advice of each class, where an error does not know better:", table])
        + "\n"
    )


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, LocalAgentError)


def row(kind: type[LocalAgentError]) -> str:
    """Return the row of a class."""
    advice = kind.default_advice
    cells = [
        f"[{kind.__name__}](api/localagent.errors.md#{kind.__name__.lower()})",
        str(kind.status), f"`{kind.default_code}`", *(("no", "yes")[bool(said)] for said in (advice.same, advice.next)),
        str(advice.later), advice.breaker,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"
