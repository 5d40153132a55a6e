"""The tests pass where the runner ignores Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

IGNORE = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
CHILD = "import signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
TEST = f"""
import subprocess, sys

def test_child():
    subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
"""


def test_children_of_tests_heed_ctrl_c_under_a_runner_that_ignores_it(root: Path, tmp_path: Path) -> None:
    """``nohup``, cron and background jobs start programs with SIGINT ignored, and children inherit that."""
    (tmp_path / "conftest.py").write_text((root / "conftest.py").read_text())
    (tmp_path / "test_child.py").write_text(TEST)
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", IGNORE, *pytest], cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0, done.stdout.decode()
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
