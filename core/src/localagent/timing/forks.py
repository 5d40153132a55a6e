"""What a fork changes: a child has none of its parent's threads, and must not touch its event loop and sockets.

Only ``os.fork`` and what builds on it are seen; a fork by foreign C code is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable


class Forks:
    """How many forks lie between this process and the one that imported the module.

    What belongs to a process keeps ``Forks.count`` of its beginning and compares it later: asking the system for the
    number of the process would cost a call each time.
    """

    count = 0

    @classmethod
    def forked(cls) -> None:
        """Count one more; runs in the child."""
        cls.count += 1


def after_fork(work: Callable[[], object]) -> None:
    """Have a function called in every forked child of this process, before anything else runs there.

    Args:
        work: The function. It does nothing else than forget what is the parent's.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=work)


after_fork(Forks.forked)
