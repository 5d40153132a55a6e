"""The README's section about the server, run as it stands: curl, the openai client and the ollama client."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
WRITTEN = "http://127.0.0.1:8400"


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language in the section, as they are written."""
    section = README.read_text().partition("## As a server")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Run ``localagent serve`` as the README starts it, on a port that the system chooses, and return its address."""
    command = [sys.executable, "-m", "localagent_cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        lines = []
        for line in served.stderr:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            pytest.fail(f"It does not serve: {''.join(lines)}")
        try:
            yield found[0]
        finally:
            served.send_signal(signal.SIGTERM)
            served.communicate()


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(address: str) -> None:
    """An answer of the built-in model in OpenAI's schema."""
    (line,) = [block for block in blocks("sh") if "curl" in block]
    answer = run(["sh", "-c", line.replace("curl ", "curl --silent --fail ").replace(WRITTEN, address)])
    assert '"finish_reason"' in answer


@pytest.mark.parametrize("client", ["openai", "ollama"])
def test_client(address: str, client: str) -> None:
    """The official client prints an answer of the built-in model."""
    (program,) = [block for block in blocks("python") if client in block]
    assert WRITTEN in program
    assert run([sys.executable, "-c", program.replace(WRITTEN, address)]).strip()
