"""There is one front door: what is public is listed, sorted and documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("room", ["http_answers", "schema"])
def test_every_name_of_a_documented_room_is_there_and_documented(room: str) -> None:
    """What a room lists for authors can be imported from it, and has a docstring."""
    module = importlib.import_module(f"localagent.{room}")
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), f"localagent.{room}.{name} has no docstring"


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


# Modules of the core that are documented for authors, beside ``localagent`` itself.
DOCUMENTED = {"localagent.errors", "localagent.http_answers", "localagent.schema", "localagent.supervision"}
# Modules of the core that plugins, the command line and the test kit import although they are not documented for
# authors. It may shrink and not grow.
UNDOCUMENTED = {
    "localagent.instances.provider_types",
    "localagent.pipeline.assembly",
    "localagent.pipeline.pipeline",
    "localagent.pipeline.plan",
    "localagent.pipeline.steps",
    "localagent.plugin_api.discovery",
    "localagent.plugin_api.installing",
    "localagent.plugin_api.kinds",
    "localagent.plugin_api.progress",
    "localagent.records.attempt",
    "localagent.records.caching",
    "localagent.records.call",
    "localagent.records.instances",
    "localagent.records.reports",
    "localagent.runtime",
    "localagent.settings.files",
    "localagent.settings.folders",
    "localagent.structuring.fields",
    "localagent.structuring.place",
    "localagent.structuring.reading",
    "localagent.structuring.secrets",
    "localagent.timing.timer",
}


def test_plugins_import_public_names_only(plugins: list[Path]) -> None:
    """A plugin takes from the core what is documented for authors; the deeper imports that exist become no more."""
    modules = {module for module, _ in core_imports(plugins)} - {"localagent"} - DOCUMENTED
    names = {name for module, name in core_imports(plugins) if module == "localagent" and name}

    assert sorted(modules - UNDOCUMENTED) == []
    known = DOCUMENTED | UNDOCUMENTED
    assert sorted(name for name in names - {*localagent.__all__} if f"localagent.{name}" not in known) == []


def test_plugins_take_from_a_documented_room_what_it_lists(plugins: list[Path]) -> None:
    """``localagent.http_answers`` and ``localagent.schema`` list what is for authors."""
    rooms = {room: importlib.import_module(room) for room in ("localagent.http_answers", "localagent.schema")}
    hidden = [(room, name) for room, name in core_imports(plugins) if room in rooms and name not in rooms[room].__all__]

    assert hidden == []


def test_no_undocumented_module_is_listed_that_no_plugin_imports(plugins: list[Path]) -> None:
    """The list shrinks with the imports."""
    assert sorted(UNDOCUMENTED - {module for module, _ in core_imports(plugins)}) == []


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


def core_imports(plugins: list[Path]) -> set[tuple[str, str]]:
    """Return module and name of everything that plugins import from the core."""
    every = (pair for plugin in plugins for path in plugin.glob("src/**/*.py") for pair in imports(path))
    return {(module, name) for module, name in every if module.partition(".")[0] == "localagent"}


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
