"""How other gateways are installed: once, each into a folder of its own that the next run finds again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gateways.processes import LeftOut

FOLDER = Path(__file__).parents[3] / "build/bench/peers"
ENVIRONMENT = dict(os.environ)
"""The environment before the harness takes proxies out of it: package registries may lie behind one."""


def tool(name: str) -> str:
    """Return the path of a program.

    Raises:
        LeftOut: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise LeftOut(f"{name} is not installed.")
    return found


def install(made: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run the commands that install something, unless it is there.

    They run outside of the repository: uv would apply the pins of the workspace.

    Args:
        made: What they make last.
        commands: The commands.

    Raises:
        LeftOut: One of them failed.
    """
    if made.exists():
        return
    for command in commands:
        done = subprocess.run(
            command, env=ENVIRONMENT, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            why = (done.stderr or done.stdout).strip().rpartition("\n")[2]
            raise LeftOut(f"{Path(command[0]).name} could not install it: {why}")
