"""The exit codes and their meanings for scripts. The table in the documentation has the same rows."""

from __future__ import annotations

import enum

from localagent import LocalAgentError
from localagent.errors import (
    LocalRefusal,
    ModelNotFound,
    NotAllowed,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    StartError,
    StreamInterrupted,
    Unauthenticated,
    UpstreamAuth,
)


class ExitCode(enum.IntEnum):
    """The exit codes of ``localagent``.

    Attributes:
        DONE: Success.
        FAILED: The model server failed or was not reached, a timeout expired, ``doctor`` found a problem, or there is a
            bug.
        WRONG_SETUP: Invalid options or settings, or a missing or broken plugin; nothing was sent.
        LIMITED: A limit, here or at the provider: rate, quota, budget or capacity. A later attempt may succeed.
        NO_MODEL: There is no such model.
        NO_ACCESS: The key is invalid or has no permission.
        REJECTED: The request cannot be answered: too long, filtered, or invalid.
        INCOMPLETE: The answer broke off; the part that had arrived was printed.
        INTERRUPTED: Ctrl-C was pressed.
        PIPE_CLOSED: The reader of the output closed the pipe, as in ``| head``.
    """

    DONE = 0
    FAILED = 1
    WRONG_SETUP = 2
    LIMITED = 3
    NO_MODEL = 4
    NO_ACCESS = 5
    REJECTED = 6
    INCOMPLETE = 7
    INTERRUPTED = 130  # 128 + SIGINT, as shells count
    PIPE_CLOSED = 141  # 128 + SIGPIPE


# The first matching row decides: subclasses come before their base classes.
_TABLE: tuple[tuple[tuple[type[LocalAgentError], ...], ExitCode], ...] = (
    ((StartError,), ExitCode.WRONG_SETUP),
    ((LocalRefusal, RateLimited, QuotaExhausted, Overloaded), ExitCode.LIMITED),
    ((ModelNotFound,), ExitCode.NO_MODEL),
    ((UpstreamAuth, PermissionDenied, NotAllowed, Unauthenticated), ExitCode.NO_ACCESS),
    ((RequestRejected,), ExitCode.REJECTED),
    ((StreamInterrupted,), ExitCode.INCOMPLETE),
)


def exit_code(error: LocalAgentError) -> ExitCode:
    """Return the exit code of a command that this error ended."""
    return next((code for classes, code in _TABLE if isinstance(error, classes)), ExitCode.FAILED)
