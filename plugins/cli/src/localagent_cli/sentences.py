"""The one sentence that the user reads after an error: what happened and what to do."""

from __future__ import annotations

import errno
import sys
from types import TracebackType

import click

from localagent import LocalAgentError
from localagent.errors import StreamInterrupted

_FULL = (errno.ENOSPC, errno.EDQUOT)


def sentence(error: LocalAgentError) -> str:
    """Return an error's message with its hint."""
    text = str(error)
    if isinstance(error, StreamInterrupted) and error.hint is None and error.cause is not None and error.cause.hint:
        text += f" {error.cause.hint}"
    if error.retry_after is not None and error.hint is None:
        text += f" Try again in {max(1, round(error.retry_after))} s."
    return text


def usage(error: click.ClickException) -> str:
    """Return the message of a usage error and the command that shows the help."""
    text = error.format_message().strip()
    text = text if text.endswith((".", "?", "!")) else f"{text}."
    context = getattr(error, "ctx", None)
    return f"{text} See: {context.command_path} --help" if context is not None else text


def defect(error: Exception) -> str:
    """Return a sentence for an unexpected exception. Its text is not shown, because it may quote any data."""
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename} cannot be used" if isinstance(error.filename, str) else "The system refused"
        return f"{what}: {error.strerror}.{' Free some space.' if error.errno in _FULL else ''}"
    return f"A bug in {_module(error.__traceback__)}: {type(error).__name__}. --debug shows the traceback."


def _module(trace: TracebackType | None) -> str:
    """Return the module that raised an exception; if the standard library raised it, the module that called it."""
    names = ["an unknown place"]
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__"))
        if name.partition(".")[0] not in sys.stdlib_module_names:
            names.append(name)
        trace = trace.tb_next
    return names[-1]
