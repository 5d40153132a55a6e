"""The prompt of a command: what is typed behind it, what comes through standard input, or both."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from localagent_cli.terminal import is_terminal

STANDARD_INPUT = "-"


def read_prompt(words: Sequence[str], *, required: bool = True) -> str:
    """Return the prompt.

    Args:
        words: What was typed; ``-`` alone means standard input. What comes through standard input, when that is no
            terminal, follows what was typed, behind an empty line.
        required: Whether a prompt must be there.

    Raises:
        click.UsageError: There is none, or it is no text.
    """
    typed = " ".join(words).strip()
    if typed == STANDARD_INPUT:
        prompt = _standard_input()
    elif is_terminal(sys.stdin) or not required:
        prompt = typed
    else:
        prompt = "\n\n".join(part for part in (typed, _standard_input()) if part)
    if required and not prompt:
        raise click.UsageError("There is no prompt: type one, or send one to standard input.")
    return prompt


def _standard_input() -> str:
    if sys.stdin is None:  # it was closed before we began
        return ""
    try:
        # The bytes are read, because the terminal's encoding says nothing about what a file or a program sends.
        return sys.stdin.buffer.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        pass
    # Raised here and not above: the decoder's error holds the whole input.
    raise click.UsageError("What came through standard input is no UTF-8 text.")
