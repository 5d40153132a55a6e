"""The processes that are compared: each on the one core that the load does not use, and what they take of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from answers import MODEL

BENCHMARKS = Path(__file__).parents[1]
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
STARTING_SECONDS, ENDING_SECONDS = 120.0, 10.0


class LeftOut(Exception):
    """Why a contender cannot take part here, in one sentence."""


class Proxy(NamedTuple):
    """A process under load.

    Attributes:
        name: Its name in the report.
        pid: Its process; 0 for the process of the load.
        port: Where it listens.
        model: How it calls the upstream's model.
        key: The key that it wants.
        headers: Further header lines that it wants.
    """

    name: str
    pid: int
    port: int
    model: str
    key: str = ""
    headers: tuple[str, ...] = ()

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
def _running(command: Sequence[str], output: int | IO[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program on the first core until the context ends.

    It inherits the core, because a program may have threads before anybody could move it.
    """
    mine = os.sched_getaffinity(0)
    keep_on_core(0, 0)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, text=True, **more
        )
    finally:
        os.sched_setaffinity(0, mine)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def started(
    command: Sequence[str], *, pattern: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[int, int]]:
    """Run a program that tells its port; gives its process and its port.

    Args:
        command: The program; on its output it says little.
        pattern: What the line looks like in which it tells its port.
        environment: Further variables.
        folder: Its working folder.
    """
    variables = {**os.environ, **(environment or {})}
    with _running(command, subprocess.PIPE, cwd=folder, env=variables) as process:
        yield process.pid, _port(process, pattern)


def _port(process: subprocess.Popen[str], pattern: str) -> int:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return int(found[1])
    raise RuntimeError(f"A contender did not start: {''.join(said[-20:])}")


@contextmanager
def listening(
    command: Sequence[str], port: int, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a program on a given port, with any amount of output; gives its process.

    Args:
        command: The program.
        port: Where it will listen.
        folder: Its working folder; what it says goes into a file there.
        environment: Further variables.

    Raises:
        RuntimeError: It ended, or it did not listen within ``STARTING_SECONDS``.
    """
    variables = {**os.environ, **(environment or {})}
    with (folder / "output").open("w+") as output, _running(command, output, cwd=folder, env=variables) as process:
        if not _listens(process, port):
            output.seek(0)
            raise RuntimeError(f"A contender did not start: {output.read()[-2000:]}")
        yield process.pid


def _listens(process: subprocess.Popen[str], port: int) -> bool:
    """Wait until somebody listens; False when the process ended, or it takes too long."""
    latest = time.monotonic() + STARTING_SECONDS
    while process.poll() is None and time.monotonic() < latest:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)  # a foreign program offers no event to wait for
        else:
            return True
    return False


def free_port() -> int:
    """Return a port that was free just now, for programs that cannot choose one and tell it."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@contextmanager
def program(module: str, name: str, upstream: int, loop: str) -> Iterator[Proxy]:
    """Run one of the programs that stand beside this module; see ``program``.

    Args:
        module: The program's module.
        name: Its name in the report.
        upstream: The upstream's port.
        loop: ``asyncio`` or ``uvloop``.
    """
    command = [sys.executable, "-m", f"gateways.{module}", str(upstream), loop]
    with started(command, pattern=r"^(\d+)$", folder=BENCHMARKS) as (pid, port):
        yield Proxy(name, pid, port, MODEL)
