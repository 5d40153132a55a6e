"""Turns of the event loop that others get before a step that takes long, such as decoding a large document.

The decoder holds the interpreter's lock, so a thread would hold up the event loop just as well. What can be done is to
keep such steps apart: whatever arrives during one is accepted, read and answered before the next one begins.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

EACH = 1_000_000
"""Bytes for which others get one turn; to decode or encode so many takes about a millisecond."""
MOST = 12
"""Turns at most: from a connection's arrival to the end of a short answer a server on asyncio takes nine."""

_steps: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def let_others_run(size: int) -> None:
    """Wait until a step that takes long may be taken; take it at once when this returns, before the next await.

    Others get turns of the event loop before each step, whichever request it belongs to: steps of several requests
    wait for each other.

    Args:
        size: Bytes that the step works on. Below 1 MB there is nothing to wait for.
    """
    turns = min(size // EACH, MOST)
    if not turns:
        return
    loop = asyncio.get_running_loop()
    async with _steps.setdefault(loop, asyncio.Lock()):
        for _ in range(turns):
            await asyncio.sleep(0)
