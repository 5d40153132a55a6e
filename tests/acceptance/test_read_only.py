"""A container without a place for files: the built-in model answers, and one warning says what is not kept."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("localagent_provider_llamacpp")
pytest.importorskip("localagent_catalog")
pytest.importorskip("localagent_cache_sqlite")
pytest.importorskip("localagent_metrics_savings")


async def run(folder: Path, home: str, *arguments: str) -> tuple[int, str, str]:
    """Run ``localagent`` with all plugins, in an empty working directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "LOCALAGENT_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", *arguments, cwd=folder, env={**environment, "HOME": home},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("home", ["a device", "a file", "a file below"])
async def test_the_built_in_model_answers_without_a_home(tmp_path: Path, home: str) -> None:
    """Also asked twice; ``models`` and ``savings`` work, too."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".local").touch()
    place = {"a device": "/dev/null", "a file": str(tmp_path / "home/.local"), "a file below": str(tmp_path / "home")}
    asked = ("ask", "--temperature", "0", "--max-tokens", "3", "Hi")
    for arguments in (asked, ("models",), ("savings",)):
        code, out, err = await run(tmp_path, place[home], *arguments)
        assert (code, bool(out.strip())) == (0, True), err
        assert err.count("warning: Data that should outlive this process cannot be saved") == 1, err
        assert err.replace("warning: The answer is incomplete", "").count("warning") == 1, err
