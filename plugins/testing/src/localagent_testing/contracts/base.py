"""The base of all contracts: their promises cannot be dropped silently."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["CLOSING_SECONDS", "FULL", "Contract", "often"]

FULL = os.environ.get("LOCALAGENT_FULL") == "1"
#: Seconds within which a connection that is no longer read must be closed. The promise is 0.1 s; when many tests share
#: a small machine, that would also measure the others, so the limit is generous there.
CLOSING_SECONDS = 0.1 if FULL else 2.0
EXCUSES = frozenset({"xfail", "skip", "skipif"})


def often(times: int, full: int) -> int:
    """Return the number of repetitions: ``full`` with ``LOCALAGENT_FULL=1`` in the environment, else ``times``."""
    return full if FULL else times


class Contract:
    """The base of all contracts.

    A subclass may override a test only with a mark that gives the reason why the promise cannot be kept::

        @pytest.mark.xfail(reason="the server has no embeddings")
        async def test_embeddings_are_read(self) -> None: ...

    Raises:
        TypeError: A class is defined that drops a promise without a reason.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        """Refuse a class that drops a promise silently."""
        super().__init_subclass__(**more)
        if dropped := list(_dropped(cls)):
            raise TypeError(
                f"{cls.__qualname__} drops without a reason: {', '.join(dropped)}. "
                'Mark a promise that cannot be kept with @pytest.mark.xfail(reason="...").'
            )


def _dropped(cls: type[Contract]) -> Iterator[str]:
    """Yield the promises that a class, or one of its mixins, overrides or marks without a reason."""
    for name, promise in _promises(cls).items():
        kept = getattr(cls, name)
        if kept is not promise and not _excused(getattr(kept, "pytestmark", ())):
            yield name
    marks = vars(cls).get("pytestmark", ())
    for mark in marks if isinstance(marks, list | tuple) else (marks,):
        if mark.name in EXCUSES and not _excused((mark,)):
            yield "all of it"


def _promises(cls: type[Contract]) -> dict[str, Any]:
    """Return the tests of the contracts of this package."""
    package = __name__.rpartition(".")[0]
    return {
        name: value
        for base in reversed(cls.__mro__)
        if base.__module__.startswith(package)
        for name, value in vars(base).items()
        if name.startswith("test_")
    }


def _excused(marks: Iterable[Any]) -> bool:
    reasons = [_reason(mark) for mark in marks if mark.name in EXCUSES]
    return bool(reasons) and all(reasons)


def _reason(mark: Any) -> str:
    mark = getattr(mark, "mark", mark)
    given = mark.kwargs.get("reason") or (mark.args[0] if mark.name == "skip" and mark.args else "")
    return given.strip() if isinstance(given, str) else ""
