"""Makes sure that forked copies of this process neither keep a model server alive nor end it.

It covers ``os.fork`` and everything built on it, but not a fork by foreign C code.
"""

from __future__ import annotations

import weakref
from typing import Protocol

from localagent.timing import after_fork


class Owned(Protocol):
    """An object that belongs to the process that created it."""

    def let_go(self) -> None:
        """Release the owner's resources in a forked copy of the owner."""


_owned: weakref.WeakSet[Owned] = weakref.WeakSet()


def let_go_in_copies(one: Owned) -> None:
    """Call an object's ``let_go`` in every forked copy of this process."""
    _owned.add(one)


def _forked() -> None:
    for one in _owned:
        one.let_go()


after_fork(_forked)
