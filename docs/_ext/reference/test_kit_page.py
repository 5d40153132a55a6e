"""The test kit: contracts with the promises that they check, and what else ``localagent_testing`` brings."""

from __future__ import annotations

import inspect

import localagent_testing
from localagent_testing import contracts
from reference.api_pages import section as api_section
from reference.docstrings import as_markdown, markdown

INTRODUCTION = """# The test kit

The plugins of this repository are tested with `localagent-testing`; `pip install localagent-testing` gives it to yours.
A plugin's test file subclasses the contract of its role, says how the plugin is made, and inherits every test."""


def page() -> str:
    """Return the page."""
    kinds = {name: kind for name in contracts.__all__ if inspect.isclass(kind := getattr(contracts, name))}
    held = [contract(name, kind) for name, kind in kinds.items() if promises(kind)]
    others = [name for name in sorted(localagent_testing.__all__, key=str.lower) if name not in kinds]
    rest = [api_section(name, getattr(localagent_testing, name)) for name in others]
    parts = [INTRODUCTION, as_markdown(inspect.getdoc(localagent_testing) or ""), *held, *rest]
    return "\n\n".join(parts) + "\n"


def promises(kind: type) -> dict[str, str]:
    """Return the tests of a contract, each with the first sentence of what it checks."""
    tests = [(name, value) for name, value in inspect.getmembers(kind) if name.startswith("test_")]
    return {name: (inspect.getdoc(test) or "").partition("\n\n")[0] for name, test in tests}


def contract(name: str, kind: type) -> str:
    """Return the section of a contract."""
    rows = [f"| `{test}` | {' '.join(as_markdown(said).split())} |" for test, said in promises(kind).items()]
    table = "\n".join(["| test | what it checks |", "|---|---|", *(row.replace("||", "\\|\\|") for row in rows)])
    return f"## {name}\n\n{markdown(kind)}\n\n{table}"
