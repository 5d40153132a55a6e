"""A real ``localagent serve`` with a key, one provider, and no plugin that optimises."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from answers import KEY, MODEL

from gateways.processes import Proxy, started

SETTINGS = """
use = ["gateway", "connect-aiohttp", "provider-openai"]
state_folder = "{folder}/state"
[providers.local]
type = "openai"
instances = ["http://127.0.0.1:{upstream}/v1"]
keys = [{{ env = "BENCH_KEY" }}]
pool = {{ limit = 2000 }}
[plugins.gateway]
loop = "{loop}"
log = "{log}"
"""
COMMAND = (sys.executable, "-m", "localagent_cli")


@contextmanager
def gateway(name: str, upstream: int, loop: str, log: str = "none", settings: str = SETTINGS) -> Iterator[Proxy]:
    """Run the gateway in one process, with these settings."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "localagent.toml").write_text(
            settings.format(folder=folder.as_posix(), upstream=upstream, loop=loop, log=log)
        )
        key = _new_key(folder)
        with started(
            [*COMMAND, "serve", "--port", "0"], pattern=r"Serving on http://127\.0\.0\.1:(\d+)", folder=folder,
            environment={"BENCH_KEY": KEY, "LOCALAGENT_CONFIG": str(folder / "localagent.toml")},
        ) as (pid, port):  # fmt: skip
            yield Proxy(name, pid, port, f"local/{MODEL}", key)


def _new_key(folder: Path) -> str:
    """Create a key, as a user does."""
    command = [*COMMAND, "--config", str(folder / "localagent.toml"), "keys", "create", "--name", "bench"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    return next(word for word in made.stdout.split() if word.startswith("la-"))
