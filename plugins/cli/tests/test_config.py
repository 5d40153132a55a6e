"""``localagent config``: show, check, begin and find the settings."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest


async def test_what_is_in_force_is_shown_as_toml(shell: Any) -> None:
    """With defaults; a key is named and never shown."""
    path = shell.settings("""
        timeout = 30
        [providers.wire]
        keys = [{ env = "WIRE_KEY" }]
    """)
    shell.environment["WIRE_KEY"] = "sk-canary-of-the-environment"
    result = await shell.run("config", "show")
    document = tomllib.loads(result.out)
    assert (result.code, document["timeout"], document["max_attempts"]) == (0, "30 s", 6)
    assert document["providers"]["wire"]["keys"] == [{"env": "WIRE_KEY"}]
    assert result.out.startswith(f"# {path.name}")
    assert "canary" not in result.out


async def test_right_settings_are_told_to_be_right(shell: Any) -> None:
    """Those of plugins and providers are checked, too; no server is asked."""
    shell.use("http://127.0.0.1:9/v1")
    result = await shell.run("config", "check")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith(": valid. 1 provider named, 0 aliases, 2 plugins active.\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_attempts = 0", "max_attempts = 0: expected a whole number of at least 1"),
        ("[providers.wire]\nspeed = 9", "speed is unknown"),
        ("[providers.other]", "no active plugin brings the provider type other"),
        ("[plugins.provider-wire]\nspeed = 9", "speed is unknown"),
    ],
)
async def test_wrong_settings_are_told_and_fail(shell: Any, text: str, said: str) -> None:
    """The first thing that is wrong, with exit code 2."""
    shell.settings(f'use = ["provider-wire"]\n{text}')
    result = await shell.run("config", "check")
    assert (result.code, result.out) == (2, "")
    assert said in result.err


async def test_a_file_to_start_from(shell: Any) -> None:
    """It is valid as written, changes nothing, and is never overwritten by accident."""
    result = await shell.run("config", "init")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Created localagent.toml")
    path = shell.folder / "localagent.toml"
    assert tomllib.loads(path.read_text()) == {}
    path.write_text("mine = 1")
    refused = await shell.run("config", "init")
    assert (refused.code, path.read_text()) == (2, "mine = 1")
    assert refused.err == "error: localagent.toml already exists. Overwrite it with --force.\n"
    assert (await shell.run("config", "init", "--force")).code == 0
    assert path.read_text() != "mine = 1"


async def test_a_file_for_the_user(shell: Any) -> None:
    """It goes where every working directory finds it."""
    shell.environment["XDG_CONFIG_HOME"] = str(shell.folder / "settings")
    assert (await shell.run("config", "init", "--user")).code == 0
    shown = await shell.run("config", "path")
    assert shown.out == f"{shell.folder}/settings/localagent/localagent.toml\n"


async def test_a_file_that_cannot_be_written(shell: Any) -> None:
    """One sentence: where, and why."""
    (shell.folder / "file").touch()
    result = await shell.run("config", "init", "file/below/localagent.toml")
    assert result.code == 2
    assert result.err.startswith("error: file/below/localagent.toml cannot be written: ")


async def test_the_path_of_the_file_in_use(shell: Any) -> None:
    """Absolute; without a file, a failure, so that scripts notice."""
    assert (await shell.run("config", "path")).code == 2
    path = shell.settings("")
    assert (await shell.run("config", "path")).out == f"{path}\n"
    other = shell.folder / "other.toml"
    other.touch()
    assert (await shell.run("--config", "other.toml", "config", "path")).out == f"{other}\n"
