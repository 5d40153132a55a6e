"""Output: answers go to standard output, messages about them to standard error.

On a terminal, tables are drawn; in a pipe, they are lines with tabs between the columns, for ``cut`` and ``awk``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import attrs
import click

if TYPE_CHECKING:
    from localagent_cli.waiting import Waiting

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The headings of a table, and its rows."""

NARROWEST = 20  # columns; a narrower terminal wraps the lines of a table itself

# A model's text may control a terminal: move the cursor, change the title, answer queries in the user's name.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return a text without the control characters that a terminal would execute; line ends and tabs stay."""
    return _CONTROLS.sub("", text)


def one_line(text: str) -> str:
    """Return a text on one line, without control characters."""
    return printable(" ".join(text.split()))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; False for a closed or missing one."""
    with contextlib.suppress(ValueError, AttributeError):
        return stream is not None and stream.isatty()
    return False


@attrs.frozen
class Styled:
    """A text with a style. The style is added when the text is written, after its control characters are removed.

    Attributes:
        text: The text.
        color: Its colour, by click's name; None for the terminal's default.
        bold: Whether it is bold.
    """

    text: str
    color: str | None = None
    bold: bool = False


Piece = str | Styled
"""Plain text, or text with a style. Control characters in either are removed before it is written to a terminal."""


def _plain(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece.text


class Terminal:
    """Standard output and standard error of one command.

    Attributes:
        colored: False when the user disabled colours.
        waiting: The line that is shown until an answer arrives; the next text removes it.
    """

    def __init__(self) -> None:
        self.colored = not os.environ.get("NO_COLOR")
        self.waiting: Waiting | None = None
        self._column = 0
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a test may have replaced the stream
                stream.reconfigure(errors="replace")

    def write(self, *pieces: Piece) -> None:
        """Write pieces of an answer to standard output and flush it. In a pipe they stay unchanged, without styles.

        Raises:
            BrokenPipeError: The reader closed the pipe.
            OSError: Standard output cannot be written.
        """
        if self.waiting is not None:
            self.waiting.done()
        on_terminal = is_terminal(sys.stdout)
        text = "".join(self._shown(piece, sys.stdout) if on_terminal else _plain(piece) for piece in pieces)
        if text and sys.stdout is not None:  # None: closed before the start
            self._put(text)
            self._column = 0 if text.endswith("\n") else 1

    @staticmethod
    def _put(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:  # such as a full disk; the name shows which file it is about
            raise OSError(error.errno, error.strerror, "standard output") from error

    def line(self, *pieces: Piece) -> None:
        """Write a line to standard output."""
        self.write(*pieces, "\n")

    def end_line(self) -> None:
        """End the line of standard output, if it has begun."""
        if self._column:
            self.write("\n")

    def note(self, *pieces: Piece, label: str = "", color: str = "yellow") -> None:
        """Write lines to standard error, after a coloured label; control characters are removed."""
        if self.waiting is not None:
            self.waiting.pause()
        if self._column and is_terminal(sys.stdout) and is_terminal(sys.stderr):
            self.end_line()
        if sys.stderr is not None:
            with contextlib.suppress(OSError):  # there is no other place to report it
                text = "".join(self._shown(piece, sys.stderr) for piece in pieces)
                mark = Styled(f"{label}: " if label and text else label, color)
                sys.stderr.write(f"{self._shown(mark, sys.stderr)}{text}\n")
                sys.stderr.flush()

    def error(self, text: str) -> None:
        """Write the sentence of an error to standard error."""
        self.note(one_line(text), label="error", color="red")

    def _shown(self, piece: Piece, stream: TextIO | None) -> str:
        """Return a piece as it is written to a terminal: without control characters except those of its style."""
        text = printable(_plain(piece))
        if not text or isinstance(piece, str) or not self._styles(stream):
            return text
        return click.style(text, fg=piece.color, bold=piece.bold or None)

    def _styles(self, stream: TextIO | None) -> bool:
        return self.colored and is_terminal(stream) and os.environ.get("TERM") != "dumb"

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table to standard output.

        Args:
            columns: The headings; shown only on a terminal.
            rows: The rows, each with a text for every column.
        """
        if is_terminal(sys.stdout):
            self.console(sys.stdout).print(self._made(columns, rows))
        else:
            for row in rows:
                self.line("\t".join(map(one_line, row)))

    def live(self, tables: Callable[[], Sequence[Table]], seconds: float) -> None:
        """Draw tables on the terminal, and draw them again at intervals until the user presses Ctrl-C.

        Args:
            tables: Returns the tables; called each time.
            seconds: The interval.
        """
        from rich.console import Group
        from rich.live import Live

        with (
            contextlib.suppress(KeyboardInterrupt),
            Live(console=self.console(sys.stdout), auto_refresh=False) as live,
        ):
            while True:
                live.update(Group(*(self._made(*table) for table in tables())), refresh=True)
                time.sleep(seconds)

    def _made(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
        """Return a table for a rich console."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, header_style="bold" if self.colored else "", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(one_line(cell)) for cell in row))
        return table

    def console(self, stream: TextIO) -> Any:
        """Return a rich console that writes to a stream."""
        from rich.console import Console

        # rich reads COLUMNS and LINES itself, and accepts 0 and unusual digits.
        width, height = shutil.get_terminal_size()
        return Console(file=stream, width=max(width, NARROWEST), height=height, no_color=not self.colored,
                       highlight=False, markup=False, emoji=False)  # fmt: skip
