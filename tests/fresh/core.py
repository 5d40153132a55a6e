"""In a fresh environment with localagent-core alone: what it contains, and what it reports about missing parts."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

from localagent import Client, LocalAgentError

NOT_OF_THE_CORE = ("aiohttp", "click", "rich", "pytest", "localagent_cli", "localagent_testing")


async def first_error() -> LocalAgentError:
    """Ask without any provider."""
    try:
        async with Client({}) as client:
            await client.chat("Hello")
    except LocalAgentError as error:
        return error
    raise AssertionError("a model answered although no provider is installed")


def main() -> None:
    """Fail with the first promise that is broken."""
    present = [name for name in NOT_OF_THE_CORE if importlib.util.find_spec(name)]
    assert present == [], f"localagent-core brings {present}"
    scripts = [point.name for point in distribution("localagent-core").entry_points if point.group == "console_scripts"]
    assert scripts == [], f"localagent-core brings the scripts {scripts}"
    assert not (Path(sysconfig.get_path("scripts")) / "localagent").exists()
    done = subprocess.run([sys.executable, "-m", "localagent"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert done.stderr == "The command line is not installed. Run: pip install localagent-cli\n", done.stderr
    error = asyncio.run(first_error())
    print(f"localagent-core alone is small, and says: {error}")


main()
