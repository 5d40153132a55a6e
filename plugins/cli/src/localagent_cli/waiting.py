"""The progress line that is shown until an answer begins.

Code that loads or downloads something logs its progress to the logger ``localagent.progress``. The line is written to
standard error, only on a terminal, and removed when the answer begins. Needs a running event loop.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from localagent.plugin_api import progress
from localagent_cli.terminal import is_terminal, one_line

if TYPE_CHECKING:
    from localagent_cli.terminal import Terminal

PATIENCE = 0.5
"""Seconds without a progress message after which a general message is shown."""


class Waiting(logging.Handler):
    """A line with a spinner, shown until ``done``; only on a terminal.

    Args:
        terminal: The terminal to write to.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.INFO)
        self._terminal = terminal
        self._status: Any = None
        self._on = is_terminal(sys.stderr)

    def __enter__(self) -> Self:
        if self._on:
            self._terminal.waiting = self
            progress.addHandler(self)
            asyncio.get_running_loop().call_later(PATIENCE, self._show_something)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message of ``localagent.progress``."""
        self.show(record.getMessage())

    def show(self, text: str) -> None:
        """Show a text in place of the previous one."""
        if not self._on:
            return
        from rich.status import Status
        from rich.text import Text

        shown = Text(one_line(text))  # a plain string would be read as markup
        if self._status is not None:
            self._status.update(shown)
            return
        style = "dim" if self._terminal.colored else ""
        self._status = Status(shown, console=self._terminal.console(sys.stderr), spinner_style=style)
        self._status.start()

    def _show_something(self) -> None:
        if self._status is None:
            self.show("waiting for the answer")

    def pause(self) -> None:
        """Remove the line; the next text shows it again."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def done(self) -> None:
        """Remove the line permanently."""
        if self._on:
            self._on = False
            progress.removeHandler(self)
            self._terminal.waiting = None
            self.pause()
