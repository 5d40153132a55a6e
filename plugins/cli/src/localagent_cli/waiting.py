"""What is shown until the first word of an answer: the newest news about what takes long.

Code that loads or downloads logs it to the logger ``localagent.progress``. The line stands on standard error, on a
terminal only, and is gone when the answer begins. Needs a running event loop.
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
"""Seconds of silence after which something is shown even if there is no news."""


class Waiting(logging.Handler):
    """A line with a spinner, from its beginning until ``done``; where there is no terminal, nothing.

    Args:
        terminal: Where it is shown.
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
        """Show a text in place of the last one."""
        if not self._on:
            return
        from rich.status import Status
        from rich.text import Text

        shown = Text(one_line(text))  # not plain text, in which rich would look for markup
        if self._status is not None:
            self._status.update(shown)
            return
        style = "dim" if self._terminal.colored else ""
        self._status = Status(shown, console=self._terminal.console(sys.stderr), spinner_style=style)
        self._status.start()

    def _show_something(self) -> None:
        if self._status is None:
            self.show("waiting for the first word")

    def pause(self) -> None:
        """Take the line away; the next text brings it back."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def done(self) -> None:
        """Take the line away for good."""
        if self._on:
            self._on = False
            progress.removeHandler(self)
            self._terminal.waiting = None
            self.pause()
