"""``localagent.ask``: one line for scripts.

One background thread a process runs one event loop with one client. It works inside a running loop as well, is made
again in a forked child, and is closed at exit.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from typing import Any

from localagent.client import Client, Messages
from localagent.timing.forks import Forks, after_fork


class _Loop:
    """An event loop with a client, in a thread of its own."""

    def __init__(self) -> None:
        self.forks = Forks.count
        self.loop = asyncio.new_event_loop()
        self.client = Client()
        self.thread = threading.Thread(target=self.loop.run_forever, name="localagent", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Close the client and end the thread; in a forked child there is nothing to end."""
        if self.forks != Forks.count or self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self.client.aclose(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class _Shared:
    """What the process has: one background loop, and the lock under which it is made."""

    lock = threading.Lock()
    running: _Loop | None = None

    @classmethod
    def forked(cls) -> None:
        """Forget the parent's loop and lock: they do not live in a forked child."""
        cls.lock = threading.Lock()
        cls.running = None


def ask(messages: Messages, *, model: str = "", timeout: float | None = None, **fields: Any) -> str:
    """Ask a model and wait for the text of its answer.

    Example:
        import localagent

        print(localagent.ask("Name three colours.", max_tokens=30))

    Args:
        messages: A prompt, or a conversation.
        model: ``provider/name`` or an alias; empty for the default model.
        timeout: Seconds for the whole call.
        fields: Further fields of the request, such as ``temperature``.

    Returns:
        The text.

    Raises:
        LocalAgentError: The call failed.

    Since: 0.1
    """
    with _Shared.lock:
        if _Shared.running is None:
            _Shared.running = _Loop()
            atexit.register(close)
        background = _Shared.running
    work = background.client.chat(messages, model=model, timeout=timeout, **fields)
    future = asyncio.run_coroutine_threadsafe(work, background.loop)
    try:
        return future.result().text
    except BaseException:
        future.cancel()
        raise


def close() -> None:
    """End the background loop; the next ``ask`` starts another. Called at exit by itself."""
    with _Shared.lock:
        background, _Shared.running = _Shared.running, None
    if background is not None:
        background.close()


after_fork(_Shared.forked)
