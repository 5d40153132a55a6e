"""Defects of our own and of plugins, as they are logged: type and place, with ``--debug`` the whole way to it.

What an exception says of itself may hold a prompt, or a key, so it is left out.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import PurePath

from localagent import InternalError

log = logging.getLogger("localagent.gateway")


def defect(error: BaseException, request_id: str) -> InternalError:
    """Log what was raised, and return the error that tells the client of it.

    Args:
        error: The exception.
        request_id: The request that it ended.
    """
    extra = {"request_id": request_id}
    if log.isEnabledFor(logging.DEBUG):
        extra["traceback"] = way_to(error)
    log.error("A request failed: %s at %s.", type(error).__name__, place_of(error), extra=extra)
    return InternalError("The gateway failed.")


def place_of(error: BaseException) -> str:
    """Return where an exception was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def way_to(error: BaseException) -> str:
    """Return the traceback of an exception, and before it those that led to it, without what they say."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = traceback.format_tb(error.__traceback__)
    own = "".join(["Traceback (most recent call last):\n", *lines, type(error).__qualname__])
    return own if before is None else f"{way_to(before)}\n\nWhich led to:\n\n{own}"
