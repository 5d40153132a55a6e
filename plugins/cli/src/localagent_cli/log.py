"""The log on standard error: warnings as sentences; progress messages and tracebacks only on request."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

from localagent.plugin_api import progress
from localagent_cli.terminal import Piece, Styled, Terminal, one_line


class Log(logging.Handler):
    """Writes log records as lines to standard error.

    Args:
        terminal: The terminal to write to.

    Attributes:
        debug: Whether tracebacks and messages about progress are written.
        silent: Whether warnings are dropped because the command itself shows what they report.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.debug = False
        self.silent = False
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; its traceback only with ``debug``."""
        if not self.debug and (self.silent or record.name == progress.name):
            return
        label, color = (record.levelname.lower(), "yellow") if record.levelno >= logging.WARNING else ("", "")
        text = one_line(record.getMessage())
        pieces: list[Piece] = [text if label else Styled(f"{record.name}: {text}", "bright_black")]
        if self.debug and record.exc_info and record.exc_info[0] is not None:
            pieces.append("\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip())
        self._terminal.note(*pieces, label=label, color=color)

    def choose(self, *, verbose: bool, debug: bool) -> None:
        """Choose how much is written: warnings, also progress messages (``verbose``), or everything (``debug``)."""
        self.debug = debug
        logging.getLogger().setLevel(logging.DEBUG if debug else logging.WARNING)
        logging.getLogger("localagent").setLevel(logging.INFO if verbose and not debug else logging.NOTSET)
        progress.setLevel(logging.INFO)
        # asyncio logs bugs; a user without --debug can do nothing about them.
        logging.getLogger("asyncio").setLevel(logging.NOTSET if debug else logging.CRITICAL)


@contextlib.contextmanager
def logs(terminal: Terminal) -> Iterator[Log]:
    """Write the log of this process to a terminal, and suppress Python's tracebacks from clean-up and threads."""
    log = Log(terminal)
    root = logging.getLogger()
    known = {name: logging.getLogger(name).level for name in ("", "localagent", "asyncio", progress.name)}
    hooks = sys.unraisablehook, threading.excepthook
    root.addHandler(log)
    log.choose(verbose=False, debug=False)
    sys.unraisablehook, threading.excepthook = _report, _report
    try:
        yield log
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        root.removeHandler(log)
        for name, level in known.items():
            logging.getLogger(name).setLevel(level)


def _report(failed: Any) -> None:
    """Log an exception that cannot be caught: one in ``__del__``, or one that ends a thread."""
    logging.getLogger("localagent").debug(
        "An exception could not be caught.", exc_info=(failed.exc_type, failed.exc_value, failed.exc_traceback)
    )
