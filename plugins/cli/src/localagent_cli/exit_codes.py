"""Exit codes: what a script can tell from them. The table in the documentation has the same rows."""

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
    """With what ``localagent`` ends.

    Attributes:
        DONE: All went well.
        FAILED: The model server failed or was not reached, ``doctor`` found something broken, or there is a defect.
        WRONG_SETUP: Wrong options or settings, or a plugin that is missing or broken; nothing was sent.
        LIMITED: A limit, here or at the provider: too fast, no quota, no budget, no capacity. Later it may work.
        NO_MODEL: There is no such model.
        NO_ACCESS: The key is wrong, or may not do this.
        REJECTED: The request cannot be answered: too long, filtered, or wrong.
        INCOMPLETE: The answer broke off; what had arrived was printed.
        INTERRUPTED: Ctrl-C.
        PIPE_CLOSED: Whoever read the output had enough, as in ``| head``.
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


# The first row that fits decides: special classes stand above their bases.
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
