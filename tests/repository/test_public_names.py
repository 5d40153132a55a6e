"""There is one front door: what is public is listed, sorted and documented."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import localagent


def test_the_public_names_are_sorted() -> None:
    """``localagent.__all__`` lists each public name once, in order."""
    names = getattr(localagent, "__all__", [])

    assert names == sorted(set(names))


def test_every_public_name_is_there_and_documented() -> None:
    """Each public name can be imported, and what can carry a docstring has one."""
    for name in getattr(localagent, "__all__", []):
        value = getattr(localagent, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"localagent.{name} has no docstring"


def test_importing_localagent_is_light() -> None:
    """``import localagent`` loads neither aiohttp, click nor rich."""
    program = "import localagent, sys; print(*sorted({'aiohttp', 'click', 'rich'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []


def test_plugins_import_public_names_only(plugins: list[Path]) -> None:
    """A plugin takes nothing from the core or from another plugin whose name begins with an underscore."""
    hidden = [
        (path.name, name)
        for plugin in plugins
        for path in plugin.glob("src/**/*.py")
        for name in imported_names(path)
        if name.startswith("localagent") and not name.startswith(path_package(plugin)) and "._" in name
    ]

    assert hidden == []


def path_package(plugin: Path) -> str:
    return f"localagent_{plugin.name.replace('-', '_')}."


def imported_names(path: Path) -> list[str]:
    """Return the full dotted name of everything that a file imports absolutely."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found
