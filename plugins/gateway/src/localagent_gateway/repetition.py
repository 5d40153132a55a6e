"""Keeps what an upstream's error repeats of a prompt out of the answer.

Whoever reads errors (a dashboard, a ticket, the log of a program) is not always whoever may read prompts. Keys are
taken out of such sentences where they become errors; what a prompt is, only the request knows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

from localagent import FrontRequest, InvalidRequest, LocalAgentError, RequestRejected
from localagent_gateway.bodies import decoded

WINDOW = 20  # characters: whoever shares 29 or more with the request shares one of the windows, 10 apart
LARGE = 100_000  # bytes of a body above which the search, 30 looks at the most, takes longer than a millisecond
_NAME = re.compile(r"[\x21-\x7e]*")  # of a field, a tool or a model: sentences need these
LEFT_OUT = "The model server refused the request. What it said is left out: it repeats the request"


async def without_repetition(error: LocalAgentError, request: FrontRequest) -> None:
    """Replace the sentence of an error by one of our own if it repeats the request.

    Only errors about the request itself carry words of an upstream (see ``localagent.wire.translation``).

    Args:
        error: The error that is to be told.
        request: The request that it ends.
    """
    if error.provider is None or not isinstance(error, RequestRejected):
        return
    if len(request.body) > LARGE:
        repeats = await asyncio.to_thread(_repeats, error.message, request.body)
    else:
        repeats = _repeats(error.message, request.body)
    if repeats:
        error.message = f"{LEFT_OUT}."


def _repeats(message: str, body: bytes) -> bool:
    try:
        said = "\n".join(_texts(decoded(body)))
    except InvalidRequest:
        return False  # nothing of it was sent
    windows = (message[at : at + WINDOW] for at in range(0, max(1, len(message) - WINDOW + 1), WINDOW // 2))
    return any(window in said for window in windows if window and not _NAME.fullmatch(window))


def _texts(document: Any) -> Iterator[str]:
    """Return all texts of a document but the names of its fields."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
