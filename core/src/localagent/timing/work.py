"""Work that would block the event loop, and tasks that begin at once.

Files are written and names are resolved in threads, but not in those of the event loop's default executor. That one has
few threads, and asyncio and other libraries resolve names in them: a few names without an answer would block everything
else that needs a thread.

Decoding a large document holds the interpreter's lock, so a thread would block the event loop just as well. Instead,
such steps are kept apart: requests that arrive during one are accepted, read and answered before the next one begins.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from localagent.timing.forks import after_fork

T = TypeVar("T")
Task: TypeAlias = tuple[Future[Any], Callable[[], Any]]

WORK_AT_MOST = min(32, (os.cpu_count() or 1) + 4)  # as many as the default executor has
NAMES_AT_MOST = 128

EACH = 1_000_000
"""Bytes for which other tasks get one turn; decoding or encoding this many takes about a millisecond."""
MOST = 12
"""Maximum number of turns: an asyncio server takes nine from a new connection to the end of a short answer."""

_steps: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class Threads(Executor):
    """Threads that end as soon as there is nothing left to do, so they do not have to be closed.

    Args:
        name: The name of the threads.
        at_most: Maximum number of threads at a time; further work waits.
        abandoned: Whether the interpreter exits without waiting for their work.
    """

    def __init__(self, name: str, at_most: int, *, abandoned: bool = False) -> None:
        self._name = name
        self._at_most = at_most
        self._abandoned = abandoned
        self._forget()
        after_fork(self._forget)

    def _forget(self) -> None:
        """Start without threads; a forked child has none of its parent's."""
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[Task] = deque()

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run a function in a thread.

        Raises:
            RuntimeError: The interpreter is ending.
        """
        future: Future[T] = Future()
        task = future, functools.partial(work, *arguments, **named)
        with self._lock:
            if self._running >= self._at_most:
                self._waiting.append(task)
                return future
            self._running += 1
        try:
            threading.Thread(target=self._run, args=task, name=self._name, daemon=self._abandoned).start()
        except RuntimeError:
            with self._lock:
                self._running -= 1
            raise
        return future

    def _run(self, future: Future[Any], work: Callable[[], Any]) -> None:
        _do(future, work)
        while (task := self._next()) is not None:
            _do(*task)

    def _next(self) -> Task | None:
        """Return a thread's next task; None if it should end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # the caller that waits for the work gets what it raised
        future.set_exception(error)
    else:
        future.set_result(result)


_WORK = Threads("localagent-work", WORK_AT_MOST)
_NAMES = Threads("localagent-names", NAMES_AT_MOST, abandoned=True)


async def in_thread(work: Callable[..., T], *arguments: object, executor: Executor | None = None) -> T:
    """Run a function in a thread, and return its result.

    When the interpreter is ending, no threads are available, and the function runs at once: code that closes something
    so late, such as an ``atexit`` function, still wants it to be written.

    Args:
        work: The function; its exceptions are raised here.
        arguments: Its arguments.
        executor: The threads to use; None means those that all such work shares, which do not resolve names.
    """
    try:
        future = asyncio.get_running_loop().run_in_executor(executor or _WORK, work, *arguments)
    except RuntimeError:  # the only thing that submitting raises
        return work(*arguments)
    return await future


async def resolve_name(host: str, port: int, **options: Any) -> list[Any]:
    """Return the addresses of a name, as ``socket.getaddrinfo`` does; a name without an answer blocks nothing else.

    Args:
        host: The name.
        port: The port.
        options: ``family``, ``type``, ``proto`` and ``flags``.

    Raises:
        OSError: The name does not exist.
    """
    return await in_thread(functools.partial(socket.getaddrinfo, host, port, **options), executor=_NAMES)


async def let_others_run(size: int) -> None:
    """Wait until a long step may run; run it as soon as this returns, before the next await.

    Other tasks get turns of the event loop before each step, whichever request it belongs to: steps of several requests
    wait for each other.

    Args:
        size: Bytes that the step works on. Below 1 MB it does not wait.
    """
    turns = min(size // EACH, MOST)
    if not turns:
        return
    loop = asyncio.get_running_loop()
    async with _steps.setdefault(loop, asyncio.Lock()):
        for _ in range(turns):
            await asyncio.sleep(0)


def start_eagerly(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, name: str) -> asyncio.Task[None]:
    """Start a task that runs until its first wait before this returns; before Python 3.12, at the loop's next turn.

    Args:
        work: What the task does.
        loop: The running loop.
        name: The task's name.
    """
    if sys.version_info < (3, 12):
        return loop.create_task(work, name=name)
    else:  # noqa: RET505 -- mypy understands a check of the version as two branches only
        return asyncio.Task(work, loop=loop, name=name, eager_start=True)
