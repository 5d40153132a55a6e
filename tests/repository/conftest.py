"""What the tests of the repository look at: its files, its plugins, its sources."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "docs/_ext")]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git tracks and that is still there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def workspace() -> dict[str, Any]:
    """What the root ``pyproject.toml`` says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def core_source() -> Path:
    """The core's import package."""
    return ROOT / "core/src/localagent"


@pytest.fixture(scope="session")
def plugins() -> list[Path]:
    """The folders of all plugins."""
    return sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


@pytest.fixture(scope="session")
def sources(plugins: list[Path], core_source: Path) -> list[Path]:
    """Every Python file that is part of a distribution."""
    return sorted(
        path for folder in (core_source, *(plugin / "src" for plugin in plugins)) for path in folder.rglob("*.py")
    )
