"""Tests with programs of the system: a browser, Node, nginx, valgrind. ``nox -s system`` installs them.

Where a program is missing its tests are skipped; in that session they fail, because it has installed them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/acceptance", "tests/benchmarks", "tests/system")]

from programs import Program  # noqa: E402 - the folder was put into the path above


@pytest.fixture(scope="session")
def program() -> Program:
    """Return the path of a program of the system."""

    def find(name: str) -> str:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if found is None and "LOCALAGENT_SYSTEM" in os.environ:
            pytest.fail(f"{name} is not installed, although the session installs it.")
        return found or pytest.skip(f"{name} is not installed; `CI=1 nox -s system` installs it")

    return find


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return the folder of the npm packages that ``tests/system/node/package.json`` names."""
    folder = ROOT / "build/system/node/node_modules"
    if not folder.exists():
        reason = "the npm packages are not installed; `CI=1 nox -s system` installs them"
        pytest.fail(reason) if "LOCALAGENT_SYSTEM" in os.environ else pytest.skip(reason)
    return folder
