"""Forked copies of this process: they neither keep a model server alive nor end it.

Only ``os.fork`` and what builds on it are seen; a fork by foreign C code is not.
"""

from __future__ import annotations

import weakref
from typing import Protocol

from localagent.timing import after_fork


class Owned(Protocol):
    """What belongs to the process that made it."""

    def let_go(self) -> None:
        """Forget, in a forked copy of the owner, what is the owner's."""


_owned: weakref.WeakSet[Owned] = weakref.WeakSet()


def let_go_in_copies(one: Owned) -> None:
    """Have an object let go in every forked copy of this process."""
    _owned.add(one)


def _forked() -> None:
    for one in _owned:
        one.let_go()


after_fork(_forked)
