"""The samples of this process: memory, tasks, descriptors, children."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from localagent.records.stats import Instrument, Sample

_STATM = Path("/proc/self/statm")
_DESCRIPTORS = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")

MEMORY = Instrument("process.memory", "gauge", "Resident memory.", unit="bytes")
DESCRIPTORS = Instrument("process.descriptors", "gauge", "Open file descriptors.")
ALL_TASKS = Instrument("process.tasks", "gauge", "Tasks of the event loop.")
CHILDREN = Instrument("process.children", "gauge", "Child processes, such as model servers and workers.")

PROCESS_INSTRUMENTS = (MEMORY, DESCRIPTORS, ALL_TASKS, CHILDREN)
"""The instruments of a process."""


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; its peak on systems without ``/proc``."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024  # bytes on macOS, KiB elsewhere (getrusage(2))


def process_samples(loop: asyncio.AbstractEventLoop) -> Iterator[Sample]:
    """Yield the samples of this process.

    Args:
        loop: Its event loop.
    """
    yield MEMORY.sample(resident_bytes())
    yield ALL_TASKS.sample(len(asyncio.all_tasks(loop)))
    try:
        children = [(thread / "children").read_text().split() for thread in _THREADS.iterdir()]
        yield CHILDREN.sample(sum(map(len, children)))
        yield DESCRIPTORS.sample(sum(1 for _ in _DESCRIPTORS.iterdir()))
    except OSError:  # no /proc
        return
