"""What supervises tasks and child processes needs: names for what went wrong, and when silence counts as an end.

A task that supervises must never end unseen: nothing would be started again after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType
from typing import Any

import attrs

__all__ = ["Liveness", "ending", "place_of", "raised_at", "report_failure"]


def place_of(error: BaseException) -> str:
    """Return the file and line that raised an exception, such as ``worker.py:97``; empty where nothing did."""
    trace = _innermost(error)
    return "" if trace is None else f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def raised_at(error: BaseException) -> str:
    """Return an exception's type and the place that raised it, such as ``ValueError at worker.py:97 in keep``.

    Its message is left out, because it may contain anything.
    """
    trace = _innermost(error)
    place = "" if trace is None else f" at {place_of(error)} in {trace.tb_frame.f_code.co_name}"
    return type(error).__name__ + place


def _innermost(error: BaseException) -> TracebackType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def report_failure(log: logging.Logger) -> Callable[[asyncio.Future[Any]], None]:
    """Return a callback for tasks that are not awaited: it logs the error that ended one.

    Args:
        log: Where to.
    """

    def done(task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            name = task.get_name() if isinstance(task, asyncio.Task) else "unnamed"
            log.error("Background work (%s) failed: %s.", name, raised_at(error))

    return done


def ending(code: int) -> str:
    """Say how a process ended, such as ``signal SIGKILL``, ``signal 35`` or ``exit status 1``.

    Args:
        code: Its return code as ``subprocess`` has it: the negative number of the signal that ended it.
    """
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):  # real-time signals between the first and the last have no name
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


@attrs.define
class Liveness:
    """When a process that does not answer counts as gone. Pure arithmetic: the caller reports the results.

    Attributes:
        every: Seconds between an answer and the next question.
        patience: Seconds that an answer may take.
        misses: Questions in a row without an answer after which the process counts as gone.
        missed: Questions in a row without an answer so far.
    """

    every: float = 5.0
    patience: float = 5.0
    misses: int = 3
    missed: int = 0

    @property
    def gone(self) -> bool:
        """Whether the process counts as gone."""
        return self.missed >= self.misses

    @property
    def longest(self) -> float:
        """The most seconds from the last sign of life until a process counts as gone."""
        return self.every + self.misses * self.patience

    def heard(self, answered: bool) -> float:
        """Take note of a question's outcome; return the seconds until the next question.

        Args:
            answered: Whether an answer came in time.
        """
        self.missed = 0 if answered else self.missed + 1
        return self.every if answered else 0.0
