"""The contracts of the rooms hold what they promise: an import that is turned round breaks the one that it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sysconfig.get_path("scripts")) / "lint-imports"
CORE, GATEWAY = "core/src/localagent", "plugins/gateway/src/localagent_gateway"
LAYERS = "The rooms of the core stand in their run-time order; imports point down"
ROOMS = "The rooms of the gateway stand in their order; imports point down"
#: By contract: a module, and a line in it that points up. Two neighbours, far ones, inside a function, a parent's name.
UPWARD = [
    (LAYERS, f"{CORE}/records/usage_probe.py", "from localagent.schema import streams"),
    (LAYERS, f"{CORE}/errors.py", "import localagent.client"),
    (LAYERS, f"{CORE}/timing/wheel.py", "def late() -> None:\n    from localagent.pipeline.plan import Step"),
    (LAYERS, f"{CORE}/calls/attempts.py", "import localagent.runtime"),
    (LAYERS, f"{CORE}/instances/health.py", "from localagent import calls"),
    (ROOMS, f"{GATEWAY}/http/sending.py", "from localagent_gateway.apis.error_shapes import openai_error"),
    (ROOMS, f"{GATEWAY}/keys/authentication.py", "from localagent_gateway.plugin import GatewayPlugin"),
    (ROOMS, f"{GATEWAY}/apis/dispatch.py", "def late() -> None:\n    import localagent_gateway.processes.worker"),
    (ROOMS, f"{GATEWAY}/settings.py", "from localagent_gateway import http"),
    (ROOMS, f"{GATEWAY}/status/health.py", "from localagent_gateway.processes import supervisor"),
]
#: A new room that no contract has a place for.
STRANGE = [(LAYERS, f"{CORE}/attic/__init__.py"), (ROOMS, f"{GATEWAY}/attic/__init__.py")]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all sources, with the contracts."""
    for folder in [ROOT / "core", *sorted((ROOT / "plugins").iterdir())]:
        source = folder / "src"
        if source.is_dir():
            shutil.copytree(source, tmp_path / source.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(tree: Path) -> set[str]:
    """Return the names of the contracts that a tree breaks."""
    sources = [str(path) for path in [tree / "core/src", *(tree / "plugins").glob("*/src")]]
    ran = subprocess.run(
        [sys.executable, LINT, "--no-cache", "--config", tree / "pyproject.toml"],
        cwd=tree,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()
    found = {line.partition(" BROKEN")[0] for line in lines if " BROKEN" in line}
    assert any(line.startswith("Contracts: ") for line in lines), ran.stdout + ran.stderr
    assert (ran.returncode != 0) == bool(found)
    return found


def test_the_tree_as_it_is_breaks_no_contract(tree: Path) -> None:
    """Otherwise the others would show nothing."""
    assert broken(tree) == set()


@pytest.mark.parametrize(("contract", "module", "line"), UPWARD)
def test_an_import_that_points_up_breaks_its_contract(tree: Path, contract: str, module: str, line: str) -> None:
    """And no other one; also inside a function, and in whatever spelling."""
    path = tree / module
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    assert broken(tree) == {contract}


@pytest.mark.parametrize(("contract", "module"), STRANGE)
def test_a_room_without_a_place_breaks_its_contract(tree: Path, contract: str, module: str) -> None:
    """A new room needs a place in the order."""
    (tree / module).parent.mkdir()
    (tree / module).touch()
    assert broken(tree) == {contract}


def test_the_gateway_has_no_exceptions() -> None:
    """No run-time circle is left in it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [one.get("ignore_imports", []) for one in contracts if one["id"] == "gateway"] == [[]]
