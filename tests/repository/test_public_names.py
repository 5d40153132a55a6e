"""There is one front door: what is public is listed, sorted and documented."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from public_surface import DOORS

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


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_public_module_is_there_and_documented(door: str) -> None:
    """What a public module lists can be imported from it, and what can carry a docstring has one."""
    module = importlib.import_module(door)
    assert len(module.__all__) == len({*module.__all__})  # their order is ruff's
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"{door}.{name} has no docstring"


@pytest.mark.parametrize("door", DOORS)
def test_no_public_name_is_that_of_a_module(door: str) -> None:
    """An import of the module would put it in the place of the name."""
    module = importlib.import_module(door)
    folder = Path(module.__file__ or "").parent if hasattr(module, "__path__") else None
    modules = {path.stem for path in folder.iterdir()} if folder is not None else set()
    assert modules & {*module.__all__} == set()


def test_a_name_has_one_home() -> None:
    """What ``localagent`` gives, no other public module gives as well; ``localagent.errors`` alone has all errors."""
    doors = [door for door in DOORS if door != "localagent.errors"]
    every = Counter(name for door in ("localagent", *doors) for name in importlib.import_module(door).__all__)
    assert [name for name, count in every.items() if count > 1] == []


def test_the_front_door_is_small() -> None:
    """Users and authors of plugins need about 60 names."""
    assert len(localagent.__all__) <= 60


def test_type_checkers_see_the_public_names() -> None:
    """What the package imports for type checkers is what it gives at run time, from the same modules."""
    tree = ast.parse(Path(localagent.__file__).read_text())
    typed = [
        (alias.name, alias.asname, node.module)
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    given = [(name, module) for module, names in localagent._GIVES.items() for name in names.split()]
    assert sorted(typed) == [(name, name, f"localagent.{module}") for name, module in sorted(given)]


def test_importing_localagent_is_light() -> None:
    """``import localagent`` loads neither aiohttp, click nor rich."""
    program = "import localagent, sys; print(*sorted({'aiohttp', 'click', 'rich'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []


def test_plugins_import_public_names_only(plugins: list[Path]) -> None:
    """A plugin takes from the core what the public modules list, in whatever spelling it does so."""
    listed = {door: {*importlib.import_module(door).__all__} for door in ("localagent", *DOORS)}
    hidden = [
        (path.name, module, name)
        for plugin in plugins
        for path in plugin.glob("src/**/*.py")
        for module, name in [*imports(path), *other_spellings(path)]
        if module.partition(".")[0] == "localagent" and not is_listed(module, name, listed)
    ]

    assert hidden == []


@pytest.mark.parametrize(
    "line",
    [
        "from localagent.calls.run import answer",
        "from localagent.records.call import Call",
        "from localagent import calls",
        "from localagent import lazily",
        "from localagent.timing import wheel",
        "import localagent.calls.run",
        "import localagent\nlocalagent.calls.run.answer",
        "import localagent as core\ncore.calls.run.answer",
        'import importlib\nimportlib.import_module("localagent.calls.run")',
        '__import__("localagent.pipeline.plan")',
    ],
)
def test_a_hidden_name_is_found_in_every_spelling(line: str, tmp_path: Path) -> None:
    """Imports at the top and inside functions, attributes of the package, and names of modules as text."""
    listed = {door: {*importlib.import_module(door).__all__} for door in ("localagent", *DOORS)}
    path = tmp_path / "plugin.py"
    for source in (line, "def late():\n" + textwrap.indent(line, "    ")):
        path.write_text(source)
        assert [pair for pair in [*imports(path), *other_spellings(path)] if not is_listed(*pair, listed)]


def test_nothing_private_crosses_a_distribution(plugins: list[Path]) -> None:
    """A plugin takes nothing from the core or from another plugin whose name, or whose module, begins with _."""
    hidden = [
        (path.name, module, name)
        for plugin in plugins
        for path in plugin.glob("src/**/*.py")
        for module, name in imports(path)
        if module.startswith("localagent")
        and module.partition(".")[0] != path_package(plugin)
        and private(module, name)
    ]

    assert hidden == []


def test_a_distribution_that_others_import_from_has_one_front_door(plugins: list[Path], core_source: Path) -> None:
    """What a distribution takes from a plugin stands in the ``__all__`` of its package, sorted and documented."""
    packages = {path_package(plugin) for plugin in plugins}
    folders = {core_source.name: core_source} | {path_package(plugin): plugin / "src" for plugin in plugins}
    taken = {
        (importer, module, name)
        for importer, folder in folders.items()
        for path in folder.rglob("*.py")
        for module, name in imports(path)
        if module.partition(".")[0] in packages - {importer}
    }
    doors = {module: importlib.import_module(module) for _, module, _ in taken if module in packages}

    assert "localagent_cli" in doors
    assert sorted(one for one in taken if one[2] not in getattr(doors.get(one[1]), "__all__", ())) == []
    for door in doors.values():
        assert door.__all__ == sorted(set(door.__all__))
        assert [name for name in door.__all__ if not inspect.getdoc(getattr(door, name))] == []


def test_private_names_are_recognised() -> None:
    """Both halves of an import count, and double underscores are public."""
    assert private("localagent._hidden", "Name")
    assert private("localagent.wire._hidden.deep", "Name")
    assert private("localagent", "_name")
    assert not private("localagent", "__version__")


def private(module: str, name: str) -> bool:
    parts = (*module.split("."), name)
    return any(part.startswith("_") and not part.startswith("__") for part in parts)


def is_listed(module: str, name: str, listed: dict[str, set[str]]) -> bool:
    """Whether a module is public and lists the name; a public module may be named itself."""
    return name in listed.get(module, ()) or f"{module}.{name}".rstrip(".") in listed or name.startswith("__")


def other_spellings(path: Path) -> list[tuple[str, str]]:
    """Return module and name of what a file reaches without an import from it: attributes, and names as text."""
    tree = ast.parse(path.read_text())
    called = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "localagent"
    }
    found: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in called:
            found.append(("localagent", node.attr))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and is_module(node.value):
            found.append((node.value, ""))
    return found


def is_module(text: str) -> bool:
    """Whether a text names a module of the core."""
    if not re.fullmatch(r"localagent(\.\w+)+", text):
        return False
    try:
        return importlib.util.find_spec(text) is not None
    except ModuleNotFoundError:
        return False


def path_package(plugin: Path) -> str:
    return f"localagent_{plugin.name.replace('-', '_')}"


def imports(path: Path) -> list[tuple[str, str]]:
    """Return module and name of everything that a file imports absolutely; ``import a.b`` is ("a.b", "")."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(node.module, alias.name) for alias in node.names]
    return found
