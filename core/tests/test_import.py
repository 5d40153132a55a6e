"""``import localagent`` stays light: modules are counted, each time in a clean process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from localagent.plugin_api import install
from localagent.plugin_api.installing import CLI

HEAVY = {"aiohttp", "click", "rich"}
PROGRAM = """
import sys
before = set(sys.modules)
{}
print(*sorted(set(sys.modules) - before))
"""


def modules_loaded_by(statements: str) -> set[str]:
    """The modules that statements load in an interpreter that has loaded nothing else."""
    command = [sys.executable, "-I", "-c", PROGRAM.format(statements)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def foreign(modules: set[str]) -> set[str]:
    """The packages among modules that belong neither to the standard library nor to the core."""
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"localagent"}


def test_the_package_loads_nothing_but_itself() -> None:
    """``import localagent`` loads one module of the core, and no other distribution."""
    loaded = modules_loaded_by("import localagent")

    assert {module for module in loaded if module.partition(".")[0] == "localagent"} == {"localagent"}
    assert foreign(loaded) == set()


def test_the_package_loads_little_of_the_standard_library() -> None:
    """``import localagent`` loads what its three imports load, and nothing more."""
    allowed = modules_loaded_by("import __future__, importlib, typing")

    assert modules_loaded_by("import localagent") - allowed == {"localagent"}


@pytest.mark.parametrize("name", ["Client", "Plugin", "ask", "Settings"])
def test_a_public_name_loads_neither_http_nor_the_command_line(name: str) -> None:
    """Clients, plugins, scripts and settings are imported without aiohttp, click and rich."""
    assert foreign(modules_loaded_by(f"from localagent import {name}")) & HEAVY == set()


def test_a_client_that_was_not_opened_has_loaded_no_http() -> None:
    """Making a client opens and imports nothing that only a request needs."""
    assert foreign(modules_loaded_by("import localagent; localagent.Client()")) & HEAVY == set()


@pytest.mark.parametrize(
    ("statement", "found"),
    [("import localagent_connect_aiohttp.transport", "aiohttp"), ("import localagent_testing.pytest_plugin", "pytest")],
)
def test_what_is_heavy_is_found(statement: str, found: str) -> None:
    """The tests above can fail."""
    assert found in foreign(modules_loaded_by(statement))


def test_without_the_command_line_one_sentence_says_how_to_install_it() -> None:
    """``python -m localagent`` finds the command line, which is a distribution of its own."""
    program = "import sys, runpy; sys.modules['localagent_cli'] = None; runpy.run_module('localagent', alter_sys=True)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"The command line is not installed. {install(CLI)}\n"
