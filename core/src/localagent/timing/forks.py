"""Detects forks: a child has none of its parent's threads, and must not use its event loop and sockets.

Only ``os.fork`` and functions that use it are detected; a fork by foreign C code is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable


class Forks:
    """Counts the forks between this process and the one that imported the module.

    An object that belongs to a process stores ``Forks.count`` at its creation and compares it later: asking the system
    for the process id would cost a call each time.
    """

    count = 0

    @classmethod
    def forked(cls) -> None:
        """Count one more fork; runs in the child."""
        cls.count += 1


def after_fork(work: Callable[[], object]) -> None:
    """Register a function that is called in every forked child of this process, before anything else runs there.

    Args:
        work: The function. It should only forget the parent's resources.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=work)


after_fork(Forks.forked)
