"""Keeps what an upstream's error repeats of a prompt out of the error.

The reader of errors (a dashboard, a ticket, the log of a program) is not always the reader of prompts. Keys are taken
out of a server's sentence where it becomes an error; what a prompt is, only the request knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localagent.timing.work import in_thread

if TYPE_CHECKING:
    from localagent.errors import LocalAgentError
    from localagent.records.requests import Request

WINDOW = 20  # characters: a sentence that shares 29 or more with the request shares one of the windows, 10 apart
LARGE = 100_000  # characters of a request above which the search, 30 looks at the most, takes more than a millisecond
_NAME = re.compile(r"[\x21-\x7e]*")  # of a field, a tool or a model: sentences need these
LEFT_OUT = "The model server refused the request. What it said is left out: it repeats the request."


async def without_repetition(error: LocalAgentError, request: Request) -> None:
    """Remove a server's sentence from an error if it repeats the request.

    Args:
        error: The error; its ``detail`` is what the server said.
        request: The request as it was sent.
    """
    if error.detail is None:
        return
    texts = list(_texts(request.document))
    if sum(map(len, texts)) > LARGE:
        repeats = await in_thread(_repeats, error.detail, texts)
    else:
        repeats = _repeats(error.detail, texts)
    if repeats:
        error.conceal(LEFT_OUT)


def _repeats(sentence: str, texts: list[str]) -> bool:
    parts = (sentence[at : at + WINDOW] for at in range(0, max(1, len(sentence) - WINDOW + 1), WINDOW // 2))
    windows = [part for part in parts if part and not _NAME.fullmatch(part)]
    return any(window in text for text in texts for window in windows)


def _texts(document: Any) -> Iterator[str]:
    """Yield all texts of a document but the names of its fields."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
