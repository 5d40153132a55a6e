"""Helpers for code that supervises tasks and child processes: descriptions of failures, and a liveness check.

The failure of a supervising task must always be logged, because nothing is restarted after it.
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
    """Return the file and line that raised an exception, such as ``worker.py:97``; empty if it was never raised."""
    trace = _innermost(error)
    return "" if trace is None else f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def raised_at(error: BaseException) -> str:
    """Return an exception's type and the place that raised it, such as ``ValueError at worker.py:97 in keep``.

    The message is omitted, because it may contain confidential data.
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
    """Return a done callback for tasks that are never awaited; it logs the failure of the task.

    Args:
        log: The logger.
    """

    def done(task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            name = task.get_name() if isinstance(task, asyncio.Task) else "unnamed"
            log.error("Background work (%s) failed: %s.", name, raised_at(error))

    return done


def ending(code: int) -> str:
    """Describe how a process ended, such as ``signal SIGKILL``, ``signal 35`` or ``exit status 1``.

    Args:
        code: The return code as in ``subprocess``: a negative number is the signal that ended the process.
    """
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):  # real-time signals between the first and the last have no name
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


@attrs.define
class Liveness:
    """Decides when a process that does not answer counts as gone. It does no I/O: the caller reports each outcome.

    Attributes:
        every: Seconds between an answer and the next ping.
        patience: Seconds that an answer may take.
        misses: The number of successive pings without an answer after which the process counts as gone.
        missed: The number of successive pings without an answer so far.
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
        """The maximum number of seconds from the last sign of life until a process counts as gone."""
        return self.every + self.misses * self.patience

    def heard(self, answered: bool) -> float:
        """Record the outcome of a ping; return the seconds until the next ping.

        Args:
            answered: Whether an answer arrived in time.
        """
        self.missed = 0 if answered else self.missed + 1
        return self.every if answered else 0.0
