"""The command line starts quickly, and completes words without asking anybody."""

from __future__ import annotations

import sys
from typing import Any

import pytest

SHOW_MODULES = """
import sys
from localagent_cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"aiohttp", "rich", "localagent.client", "localagent.plugin_api.discovery"} & set(sys.modules)
    plugins = {name for name in sys.modules if name.startswith("localagent_") and not name.startswith("localagent_cli")}
    print(*sorted(heavy | plugins), file=sys.stderr)
"""


async def program(shell: Any, *words: str) -> tuple[int, str, str]:
    """Run Python with these arguments; return exit code, output and errors."""
    process = await shell.start_program(sys.executable, "-c", *words, stdout=-1, stderr=-1)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    "arguments", [(), ("--help",), ("-h",), ("help",), ("ask", "--help"), ("help", "ask"), ("version",)]
)
async def test_help_loads_neither_the_http_library_nor_the_plugins(shell: Any, arguments: tuple[str, ...]) -> None:
    """Nor rich, nor the client."""
    code, _, loaded = await program(shell, SHOW_MODULES, *arguments)
    assert (code, loaded) == (0, "\n")


async def test_the_package_loads_nothing_but_itself(shell: Any) -> None:
    """``import localagent_cli`` finds its public names when they are used."""
    names = "print(*sorted(n for n in sys.modules if n.partition('.')[0] in ('localagent_cli', 'click', 'localagent')))"
    code, loaded, _ = await program(shell, f"import sys, localagent_cli; {names}")
    assert (code, loaded) == (0, "localagent_cli\n")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("localagent mo", ["models"]),
        ("localagent help mo", ["models"]),
        ("localagent help cache pu", ["purge"]),
        ("localagent ask --mod", ["--model"]),
        ("localagent ask --model ", ["fast", "other/x", "wire/"]),
        ("localagent ask --model f", ["fast"]),
        ("localagent chat -m w", ["wire/"]),
        ("localagent --config broken.toml ask --model ", []),
        ("localagent config ch", ["check"]),
    ],
)
async def test_words_are_completed(shell: Any, typed: str, completed: list[str]) -> None:
    """Commands, options, and models as the settings name them; wrong settings complete nothing."""
    shell.settings('[models]\nfast = ["other/x"]\n[providers.wire]')
    (shell.folder / "broken.toml").write_text("= 1")
    words = typed.split(" ")
    shell.environment |= {
        "_LOCALAGENT_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    result = await shell.run()
    assert (result.code, result.err) == (0, "")
    assert [line.partition(",")[2] for line in result.out.splitlines() if line] == completed


async def test_the_help_tells_how_to_complete(shell: Any) -> None:
    """The line for the shell, and where to find the commands of plugins."""
    result = await shell.run("--help")
    assert 'eval "$(_LOCALAGENT_COMPLETE=bash_source localagent)"' in result.out
    assert "localagent plugins" in result.out


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
async def test_the_version(shell: Any, arguments: tuple[str, ...]) -> None:
    """As a command and as an option."""
    result = await shell.run(*arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("localagent 0.")
