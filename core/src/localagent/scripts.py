"""``localagent.ask``: a synchronous function for scripts.

Each process has one background thread that runs an event loop with a client. It also works while another event loop is
running, is created again in a forked child, and is closed at exit.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from typing import Any

from localagent.client import Client, Messages
from localagent.timing.forks import Forks, after_fork


class _Loop:
    """An event loop with a client, in its own thread."""

    def __init__(self) -> None:
        self.forks = Forks.count
        self.loop = asyncio.new_event_loop()
        self.client = Client()
        self.thread = threading.Thread(target=self.loop.run_forever, name="localagent", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Close the client and end the thread; do nothing in a forked child, which has no such thread."""
        if self.forks != Forks.count or self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self.client.aclose(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class _Shared:
    """The background loop of the process, and the lock for its creation."""

    lock = threading.Lock()
    running: _Loop | None = None

    @classmethod
    def forked(cls) -> None:
        """Forget the parent's loop and lock, which cannot be used in a forked child."""
        cls.lock = threading.Lock()
        cls.running = None


def ask(messages: Messages, *, model: str = "", timeout: float | None = None, **fields: Any) -> str:
    """Send a prompt to a model, wait for the answer and return its text.

    Example:
        import localagent

        print(localagent.ask("Name three colours.", max_tokens=30))

    Args:
        messages: A prompt, or a conversation as a list of messages.
        model: ``provider/name`` or an alias; empty for the default model.
        timeout: Seconds for the whole call, including retries; None means the value from the settings.
        fields: Further fields of the request, such as ``temperature``.

    Returns:
        The text of the first choice.

    Raises:
        LocalAgentError: The error that ended the call; see ``localagent.errors``.

    Example:
        ::

            import localagent

            print(localagent.ask("Name three primary colours.", temperature=0, timeout=60))

    Since: 0.1.
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
    """Close the background loop; the next ``ask`` starts another one. It is called automatically at exit."""
    with _Shared.lock:
        background, _Shared.running = _Shared.running, None
    if background is not None:
        background.close()


after_fork(_Shared.forked)
