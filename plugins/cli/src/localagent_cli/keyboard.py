"""Reads the lines that a user types, with editing and a history if Python has readline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from localagent_cli.terminal import is_terminal

BLOCK = '"""'


class Keyboard:
    """Standard input, line by line.

    Args:
        complete: Returns the completions of the beginning of a line.

    Attributes:
        asks: Whether a user types: standard input and output are a terminal.
    """

    def __init__(self, complete: Callable[[str], Sequence[str]]) -> None:
        self.asks = is_terminal(sys.stdin) and is_terminal(sys.stdout)
        self._complete = complete
        self._readline: Any = None
        if self.asks:
            self._use_readline()

    def _use_readline(self) -> None:
        try:
            import readline
        except ImportError:  # not on Windows
            return
        self._readline = readline
        readline.set_completer_delims("")
        readline.set_completer(self._candidate)
        readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")

    def _candidate(self, text: str, number: int) -> str | None:
        candidates = self._complete(text)
        return candidates[number] if number < len(candidates) else None

    def line(self, prompt: str) -> str:
        r"""Return the next line; the lines between two lines of three quotation marks are returned as one.

        Raises:
            EOFError: There are no more lines.
            KeyboardInterrupt: Ctrl-C was pressed; ``was_empty`` returns whether the line was empty.
        """
        line = self._read(prompt)
        if line.strip() != BLOCK:
            return line
        lines: list[str] = []
        while (line := self._read("... ")).strip() != BLOCK:
            lines.append(line)
        return "\n".join(lines)

    def _read(self, prompt: str) -> str:
        return input(prompt if self.asks else "")

    def was_empty(self) -> bool:
        """Return whether the line that Ctrl-C ended was empty."""
        return self._readline is None or not self._readline.get_line_buffer()
