"""What users see changes only on purpose: the golden files hold it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

from golden_files import check
from public_surface import DOORS, help_of_commands, loaded_by_import, public_names, settings_reference

import localagent

SETTINGS = """
[providers.openai]
keys = [{ env = "ANY" }]
"""


def test_the_public_api() -> None:
    """Every public name with its signature: of the core's public modules, and of the command line for its commands."""
    lines = list(public_names(localagent))
    for module in (*DOORS, "localagent_cli"):
        lines += ["", f"{module}:", *public_names(importlib.import_module(module))]
    check("public_api.txt", "\n".join(lines) + "\n")


def test_the_settings() -> None:
    """Every setting of the core and of each plugin, with its default."""
    check("settings.txt", "\n".join(settings_reference()) + "\n")


def test_the_help_of_every_command() -> None:
    """As it is printed at 80 columns."""
    check("help.txt", "\n".join(help_of_commands()))


def test_the_order_of_all_steps(tmp_path: Path) -> None:
    """What ``localagent explain`` prints when everything is installed."""
    (tmp_path / "localagent.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "localagent_cli", "explain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    check("explain.txt", done.stdout)


def test_what_import_localagent_loads() -> None:
    """No more modules than are listed, and none of a plugin."""
    check("import.txt", "\n".join(loaded_by_import()) + "\n")
