"""Removes a server's message from an error if the message repeats parts of the prompt.

Errors end up in dashboards, tickets and logs, whose readers may not be allowed to read prompts. Keys are already
redacted when a server's message becomes an error. Prompts can only be recognised here, by comparison with the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localagent.timing.work import in_thread

if TYPE_CHECKING:
    from localagent.errors import LocalAgentError
    from localagent.records.requests import Request

WINDOW = 20  # characters: a message that shares 29 or more with the request shares one of the windows, 10 apart
LARGE = 100_000  # characters: in larger requests the search, at most 30 windows, takes more than a millisecond
_NAME = re.compile(r"[\x21-\x7e]*")  # of a field, a tool or a model: messages may repeat these
LEFT_OUT = "The model server refused the request. Its message is omitted because it repeats the request."


async def without_repetition(error: LocalAgentError, request: Request) -> None:
    """Remove a server's message from an error if it repeats parts of the request.

    Args:
        error: The error; its ``detail`` is the server's message.
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
    """Yield all strings in a document, except the names of its fields."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
