"""Work that would hold up the event loop, such as writing a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: object, executor: Executor | None = None) -> T:
    """Have a thread do something, and return what it returns.

    Where the interpreter is ending there are no threads any more. It is done at once then: who closes something that
    late, from an ``atexit`` function, say, still wants it to be written.

    Args:
        work: The function; what it raises is raised here.
        arguments: Its arguments.
        executor: Whose thread; None means the event loop's own.
    """
    try:
        future = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    except RuntimeError:  # the only thing that submitting raises
        return work(*arguments)
    return await future
