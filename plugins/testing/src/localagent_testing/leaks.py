"""Finds what a test leaves behind: sockets and other descriptors, threads, child processes, tasks.

Descriptors and children are read from ``/proc``; on systems without it they are not checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["Belongings", "belongings", "new_since", "watched_runners"]

_DESCRIPTORS = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")
_LOOP_TURNS = 10  # lets work finish that is about to end, such as a transport's last callback
_THREAD_GRACE = 1.0


@attrs.frozen
class Belongings:
    """The resources of the process at a moment.

    Attributes:
        descriptors: The targets of its file descriptors, with their counts.
        threads: Its Python threads.
        children: Its child processes, with their command lines; unreaped ones have none.
    """

    descriptors: Counter[str]
    threads: frozenset[threading.Thread]
    children: dict[int, str]


def belongings() -> Belongings:
    """Return the resources of the process now."""
    return Belongings(Counter(_descriptors()), frozenset(threading.enumerate()), dict(_children()))


def new_since(before: Belongings) -> list[str]:
    """Return the names of new resources of the process, after garbage was collected and threads could end."""
    if not _differences(before):
        return []
    gc.collect()
    for thread in frozenset(threading.enumerate()) - before.threads - {threading.current_thread()}:
        thread.join(_THREAD_GRACE)
    return _differences(before)


@contextlib.contextmanager
def watched_runners() -> Iterator[list[str]]:
    """Record the tasks that are still pending when an ``asyncio.Runner`` (so also ``asyncio.run``) closes.

    Its ``close`` cancels them silently, which would hide a task that nothing waits for.

    Yields:
        The list of their names.
    """
    left: list[str] = []
    close = asyncio.Runner.close

    def close_and_tell(runner: asyncio.Runner) -> None:
        left.extend(_pending_in(runner))
        close(runner)

    asyncio.Runner.close = close_and_tell  # type: ignore[method-assign, assignment]
    try:
        yield left
    finally:
        asyncio.Runner.close = close  # type: ignore[method-assign]


def _pending_in(runner: asyncio.Runner) -> list[str]:
    try:
        loop = runner.get_loop()
    except RuntimeError:  # closed before, or closing while another loop runs
        return []
    if not asyncio.all_tasks(loop):
        return []
    for _ in range(_LOOP_TURNS):
        loop.run_until_complete(asyncio.sleep(0))
    return [f"task {task.get_name()} {task.get_coro()!r}" for task in asyncio.all_tasks(loop)]


def _differences(before: Belongings) -> list[str]:
    now = belongings()
    return [
        *(f"descriptor {name}" for name in (now.descriptors - before.descriptors).elements()),
        *(f"thread {thread.name}" for thread in now.threads - before.threads),
        *(f"child process {pid} {line}" for pid, line in now.children.items() if pid not in before.children),
    ]


def _descriptors() -> Iterator[str]:
    """Yield the targets of all descriptors, except devices and the pipe of multiprocessing's tracker."""
    if not _DESCRIPTORS.exists():
        return
    tracker = _tracker_descriptor()
    for descriptor in _DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
            target = str(descriptor.readlink())
            if not target.startswith("/dev/") and descriptor.name != tracker:
                yield target


def _tracker_descriptor() -> str | None:
    """Return the descriptor of the resource tracker, which multiprocessing starts once and keeps to the end."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    descriptor = getattr(getattr(module, "_resource_tracker", None), "_fd", None)
    return None if descriptor is None else str(descriptor)


def _children() -> Iterator[tuple[int, str]]:
    for thread in _THREADS.iterdir() if _THREADS.exists() else ():
        with contextlib.suppress(OSError):  # a thread that has ended
            for pid in (thread / "children").read_text().split():
                line = _command_line(int(pid))
                if "multiprocessing.resource_tracker" not in line:
                    yield int(pid), line


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
