"""Samples of settings, in the README, in the documentation and in what ``config init`` writes, are right settings.

Each is checked with ``localagent config check``, so that it names only plugins, provider types, hooks and settings that
exist.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
SAMPLES = {
    f"{page.relative_to(ROOT)}-{number}": block
    for page in PAGES
    if "_build" not in page.parts
    for number, block in enumerate(BLOCK.findall(page.read_text()))
    if "[project" not in block  # a pyproject.toml
}
KEYS = ("OPENAI_API_KEY", "VALKEY_PASSWORD", "MINE_KEY")


def check(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check settings with the command that users have."""
    (folder / "localagent.toml").write_text(text)
    command = [sys.executable, "-m", "localagent_cli", "--config", "localagent.toml", "config", "check"]
    environment = {**os.environ, "HOME": str(folder), **dict.fromkeys(KEYS, "a-key-for-tests")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_right(name: str, tmp_path: Path) -> None:
    """What it leaves out keeps its default, so a sample may be a part of a file."""
    done = check(SAMPLES[name], tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_sample_that_config_init_writes_is_right_when_every_line_is_used(tmp_path: Path) -> None:
    """Lines that are commented out show the defaults, so they must be right as well."""
    command = [sys.executable, "-m", "localagent_cli", "config", "init"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    text = (tmp_path / "localagent.toml").read_text()
    names = set(re.findall(r"^#?\[plugins\.([a-z0-9-]+)\]", text, re.MULTILINE))
    known = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")} | {"cache-valkey"}
    assert names <= known
    assert tomllib.loads(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        'use = ["cache-dream"]',
        "[plugins.cache-memory]\nsize = 1",
        '[providers.x]\ntype = "dream"\ninstances = ["http://127.0.0.1"]',
        "[order]\nrate_chek = []",
        "[limits]\nrate_check = 1.0",
    ],
)
def test_a_wrong_sample_is_found(text: str, tmp_path: Path) -> None:
    """A plugin, a setting, a type and a hook that do not exist, and a table that was renamed."""
    done = check(text, tmp_path)
    assert (done.returncode, "error: " in done.stderr) == (2, True)
