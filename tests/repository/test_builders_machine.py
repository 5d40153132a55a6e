"""What Sphinx reads from the sources holds no part of the machine that reads it: no variable, path or name."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CANARY = "canary-of-the-machine"
PROCESSORS = 918_273
MACHINE = {"os", "sys", "platform", "socket", "getpass", "multiprocessing", "tempfile", "locale", "shutil"}
MACHINE_PATHS = {"home", "cwd", "expanduser", "absolute", "resolve"}

# Imports every module of the distributions and prints all that autodoc may show of it. Runs in a process of its own,
# because a default is evaluated once, when its module is imported.
SHOW = """
import importlib, importlib.util, inspect, os, pkgutil, platform, socket, sys

CANARY, PROCESSORS = sys.argv[1], int(sys.argv[2])
socket.gethostname = socket.getfqdn = platform.node = lambda *names: CANARY
os.cpu_count = lambda: PROCESSORS

def modules(name):
    try:
        package = importlib.import_module(name)
    except ImportError:  # of a plugin whose library is not installed here
        return
    yield package
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        if found.name.endswith("__main__"):
            continue
        try:
            yield importlib.import_module(found.name)
        except ImportError:
            pass

def shown(where, thing):
    yield where, repr(thing)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        try:
            signature = inspect.signature(thing)
        except (TypeError, ValueError):
            return
        for parameter in signature.parameters.values():
            if parameter.default is not parameter.empty:
                yield f"{where}({parameter.name})", repr(parameter.default)

def things(module):
    for name, thing in vars(module).items():
        if name.startswith("_") or inspect.ismodule(thing):
            continue
        imported = inspect.isclass(thing) or inspect.isroutine(thing)
        if imported and getattr(thing, "__module__", None) != module.__name__:
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            for inner, value in vars(thing).items():
                if (not inner.startswith("_") or inner == "__init__") and not inspect.ismodule(value):
                    yield f"{module.__name__}.{name}.{inner}", getattr(value, "__func__", value)

for package in sys.argv[3:]:
    for module in modules(package):
        for where, thing in things(module):
            for place, text in shown(where, thing):
                if any(needle in text for needle in (CANARY, str(PROCESSORS), sys.prefix, os.path.dirname(sys.prefix))):
                    print(place)
    print("looked at", package)
"""


@pytest.fixture(scope="module")
def packages(plugins: list[Path]) -> list[str]:
    """The import packages of the core and of all plugins."""
    return ["localagent", *(f"localagent_{plugin.name.replace('-', '_')}" for plugin in plugins)]


def reported(folder: Path, *packages: str, path: str = "") -> list[str]:
    """Return the places at which something of the machine is shown, and what was looked at."""
    home = folder / CANARY
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "LOCALAGENT_TEST": CANARY, "XDG_STATE_HOME": str(home)}
    if path:
        environment["PYTHONPATH"] = path
    command = [sys.executable, "-W", "ignore", "-c", SHOW, CANARY, str(PROCESSORS), *packages]
    return subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_no_public_value_is_read_from_the_machine(tmp_path: Path, packages: list[str]) -> None:
    """Defaults, constants and attributes hold no variable, folder, host name or count of processors."""
    assert reported(tmp_path, *packages) == [f"looked at {package}" for package in packages]


ODD = {
    "variables": "def f(environment=os.environ): ...",
    "home": "HOME = Path.home()",
    "host": "class C:\n    def m(self, host=socket.gethostname()): ...",
    "folder": "class C:\n    folder = Path.cwd()",
    "processors": "def f(workers=os.cpu_count()): ...",
    "a variable": "class C:\n    @classmethod\n    def m(cls, user=os.environ['LOCALAGENT_TEST']): ...",
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_such_a_value_is_found(tmp_path: Path, line: str) -> None:
    """The check above can fail."""
    package = tmp_path / "odd_package"
    package.mkdir()
    (package / "__init__.py").write_text(f"import os, socket\nfrom pathlib import Path\n{line}\n")
    assert len(reported(tmp_path, "odd_package", path=str(tmp_path))) > 1


def machine_defaults(source: str) -> Iterator[int]:
    """Yield the lines of default values that ask the system for something."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None and any(map(asks_system, ast.walk(default))):
                    yield default.lineno


def asks_system(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in MACHINE_PATHS or (isinstance(node.value, ast.Name) and node.value.id in MACHINE)


def test_no_default_asks_the_system(sources: list[Path]) -> None:
    """Not even for what is the same on most machines, such as ``sys.platform``: None stands there instead."""
    assert [(str(path), line) for path in sources for line in machine_defaults(path.read_text())] == []


@pytest.mark.parametrize("default", ["sys.platform", "os.environ", "Path.cwd()", "Path('~').expanduser()"])
def test_a_default_that_asks_the_system_is_found(default: str) -> None:
    """The check above can fail."""
    assert list(machine_defaults(f"def f(*, a={default}): ...")) == [1]
