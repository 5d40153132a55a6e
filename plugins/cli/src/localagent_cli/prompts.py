"""The prompt of a command: its arguments, its standard input, or both."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from localagent_cli.terminal import is_terminal

STANDARD_INPUT = "-"


def read_prompt(words: Sequence[str], *, required: bool = True) -> str:
    """Return the prompt.

    Args:
        words: The arguments; ``-`` alone means standard input. If standard input is not a terminal, its text follows
            the arguments after an empty line.
        required: Whether there must be a prompt.

    Raises:
        click.UsageError: There is no prompt, or it is not text.
    """
    typed = " ".join(words).strip()
    if typed == STANDARD_INPUT:
        prompt = _standard_input()
    elif is_terminal(sys.stdin) or not required:
        prompt = typed
    else:
        prompt = "\n\n".join(part for part in (typed, _standard_input()) if part)
    if required and not prompt:
        raise click.UsageError("There is no prompt. Type one, or send one to standard input.")
    return prompt


def _standard_input() -> str:
    if sys.stdin is None:  # closed before the start
        return ""
    try:
        # Read bytes, because a file or a program may have another encoding than the terminal.
        return sys.stdin.buffer.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        pass
    # Raised here and not above, because the decoder's error contains the whole input.
    raise click.UsageError("Standard input is not UTF-8 text.")
