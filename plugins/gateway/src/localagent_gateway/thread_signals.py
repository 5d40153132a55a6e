"""Keeps signals away from threads that live as long as the gateway does."""

from __future__ import annotations

import signal


def leave_to_main_thread() -> None:
    """Let no signal be delivered to this thread, which is to call it first.

    Python handles signals in the main thread. A signal that the system delivers to another one does not wake the main
    thread from a call that blocks.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
