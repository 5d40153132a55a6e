"""Whether this process was forked since: a child must not touch its parent's sockets."""

from __future__ import annotations

import os


class Forks:
    """How many forks lie between this process and the one that imported the module; asking the system costs a call."""

    count = 0

    @classmethod
    def forked(cls) -> None:
        """Count one more; runs in the child."""
        cls.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Forks.forked)
