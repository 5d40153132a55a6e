"""The processes that are compared: each on the one core that the load does not use, and what they take of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


class Proxy(NamedTuple):
    """A process under load.

    Attributes:
        name: Its name in the report.
        pid: Its process; 0 for the process of the load.
        port: Where it listens.
        model: How it calls the upstream's model.
        key: The key that it wants.
    """

    name: str
    pid: int
    port: int
    model: str
    key: str = ""

    def cpu(self) -> float:
        """Return the processor time that it took so far, in microseconds: user and system, all threads."""
        if not self.pid:
            return 0.0
        return time.clock_gettime_ns(~self.pid << 3 | 2) / 1000  # CPUCLOCK_SCHED of clock_getcpuclockid(3) on Linux

    def resident(self) -> int:
        """Return its resident memory, in bytes."""
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024


def can_measure() -> bool:
    """Whether this system tells the processor time of other processes and lets cores be chosen."""
    return sys.platform == "linux"


def keep_on_core(process: int, core: int) -> None:
    """Keep a process, 0 for this one, on one core where there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(process, {CORES[core]})


@contextmanager
def load_on_its_core() -> Iterator[None]:
    """Keep this process on the core that the proxies do not use, until the context ends."""
    keep_on_core(0, 1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


@contextmanager
def started(
    command: Sequence[str], *, pattern: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[int, int]]:
    """Run a program on the first core until the context ends; gives its process and its port.

    Args:
        command: The program.
        pattern: What the line looks like in which it tells its port.
        environment: Further variables.
        folder: Its working folder.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        keep_on_core(process.pid, 0)  # before it has threads
        yield process.pid, _port(process, pattern)
    finally:
        process.terminate()
        process.communicate()


def _port(process: subprocess.Popen[str], pattern: str) -> int:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return int(found[1])
    raise RuntimeError(f"A contender did not start: {''.join(said[-20:])}")


@contextmanager
def bare_proxy(name: str, upstream: int, loop: str) -> Iterator[Proxy]:
    """Run the baseline."""
    command = [sys.executable, str(HERE / "bare_proxy.py"), f"http://127.0.0.1:{upstream}", loop]
    with started(command, pattern=r"^(\d+)$") as (pid, port):
        yield Proxy(name, pid, port, "m")
