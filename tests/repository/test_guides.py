"""A guide that is followed to the letter gives a plugin that passes the contract of its role."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = {
    "docs/how-to/write-a-cache.md": 30,
    "docs/how-to/write-a-metrics-plugin.md": 25,
    "docs/how-to/write-a-provider.md": 30,
    "docs/tutorial/write-a-plugin.md": 30,
}
"""The guides that end with a contract, and the least number of its promises."""
SETTINGS = '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\ntimeout = 120\n'


def code(root: Path, guide: str) -> str:
    """Return the Python blocks of a guide, one after the other, as a reader types them into one file."""
    text = re.sub(r"<!--- skip: next -->\s*```python\n.*?```", "", (root / guide).read_text(), flags=re.DOTALL)
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def run(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a file in a process of its own."""
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "test_guide.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("guide", GUIDES)
def test_what_a_guide_builds_passes_its_contract(root: Path, tmp_path: Path, guide: str) -> None:
    """Every promise is checked, and none is marked as broken."""
    done = run(tmp_path, code(root, guide))
    found = re.search(r"(\d+) passed(.*)", done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    assert found is not None
    assert int(found[1]) >= GUIDES[guide]
    assert "xfailed" not in found[2]


@pytest.mark.timeout(240)
def test_a_guide_that_breaks_a_promise_is_found(root: Path, tmp_path: Path) -> None:
    """The guide for caches, with a cache that forgets the events of a streamed answer."""
    source = code(root, "docs/how-to/write-a-cache.md")
    forgets = "import msgspec\n\n        entry = msgspec.structs.replace(entry, events=None)\n        age = "
    broken = source.replace("age = ", forgets)
    assert broken != source
    done = run(tmp_path, broken)
    assert (done.returncode, "FAILED" in done.stdout) == (1, True)
