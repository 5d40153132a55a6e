"""Tasks that begin at once, where Python can: from 3.12 on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def begun(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, name: str) -> asyncio.Task[None]:
    """Begin a task that runs until it first has to wait before this returns; before 3.12, at the loop's next turn.

    Args:
        work: What the task does.
        loop: The running loop.
        name: The task's name.
    """
    if sys.version_info < (3, 12):
        return loop.create_task(work, name=name)
    else:  # noqa: RET505 -- mypy understands a check of the version as two branches only
        return asyncio.Task(work, loop=loop, name=name, eager_start=True)
