"""Logs our own defects and those of plugins: the type and place of the exception, with ``--debug`` the traceback.

The message of an exception may contain a prompt or a key, so it is never logged.
"""

from __future__ import annotations

import logging
import traceback

from localagent.errors import InternalError
from localagent.supervision import place_of

log = logging.getLogger("localagent.gateway")


def defect(error: BaseException, request_id: str) -> InternalError:
    """Log an exception, and return the error for the client.

    Args:
        error: The exception.
        request_id: The request that failed.
    """
    report_defect("A request failed", error, request_id=request_id)
    return InternalError("The gateway failed.")


def report_defect(what: str, error: BaseException, **fields: str) -> None:
    """Log an exception.

    Args:
        what: Its consequence, as the beginning of a sentence.
        error: The exception.
        fields: Further fields of the log's line.
    """
    if log.isEnabledFor(logging.DEBUG):
        fields["traceback"] = way_to(error)
    log.error("%s: %s at %s.", what, type(error).__name__, place_of(error) or "?", extra=fields)


def way_to(error: BaseException) -> str:
    """Return the traceback of an exception after those of its causes, without their messages."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = traceback.format_tb(error.__traceback__)
    own = "".join(["Traceback (most recent call last):\n", *lines, type(error).__qualname__])
    return own if before is None else f"{way_to(before)}\n\nWhich led to:\n\n{own}"
