"""Runs the command line and turns every error into one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

from localagent import LocalAgentError
from localagent_cli.application import localagent
from localagent_cli.exit_codes import ExitCode, exit_code
from localagent_cli.line import CommandLine
from localagent_cli.log import logs
from localagent_cli.sentences import defect, sentence, usage
from localagent_cli.terminal import Terminal, is_terminal

PROGRAM = "localagent"
COMPLETE = "_LOCALAGENT_COMPLETE"


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: The arguments after ``localagent``.

    Returns:
        The exit code.
    """
    if instruction := os.environ.get(COMPLETE):
        return _complete(instruction)
    terminal = Terminal()
    with logs(terminal) as log:
        line = CommandLine(terminal, log)
        try:
            code = _invoke(line, list(arguments))
            _flush()
        except BaseException as error:  # of commands, plugins and the system; the user never gets a raw exception
            code = _ended_by(error, line)
    return code


def _complete(instruction: str) -> int:
    logging.disable()  # a log line would appear in the line that the user is typing
    try:
        return shell_complete(localagent, {}, PROGRAM, COMPLETE, instruction)
    except LocalAgentError:  # a plugin's command that cannot be imported: nothing after it can be completed
        return ExitCode.FAILED
    except (KeyError, ValueError):  # the other variables that a shell sets are missing or invalid
        sys.stderr.write(f"{COMPLETE} is for shells, which also set COMP_WORDS and COMP_CWORD. Run: unset {COMPLETE}\n")
        return ExitCode.FAILED


def _invoke(line: CommandLine, arguments: list[str]) -> int:
    try:
        with localagent.make_context(PROGRAM, arguments, obj=line) as context:
            localagent.invoke(context)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    return ExitCode.DONE


def _ended_by(error: BaseException, line: CommandLine) -> int:
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return ExitCode.PIPE_CLOSED
    if line.debug and not isinstance(error, click.ClickException | click.Abort):
        line.terminal.note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, KeyboardInterrupt | click.Abort | EOFError):
        if is_terminal(sys.stderr):
            line.terminal.note("")
        return ExitCode.INTERRUPTED
    if isinstance(error, LocalAgentError):
        line.terminal.error(sentence(error))
        return exit_code(error)
    if isinstance(error, click.ClickException):
        line.terminal.error(usage(error))
        return error.exit_code
    if not isinstance(error, Exception):  # SystemExit
        raise error
    line.terminal.error(defect(error))
    _drop_output()
    return ExitCode.FAILED


def _flush() -> None:
    if sys.stdout is not None:  # None: closed before the start
        sys.stdout.flush()


def _drop_output() -> None:
    """Discard the buffered output: Python would write it again at exit and report an error."""
    try:
        _flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
