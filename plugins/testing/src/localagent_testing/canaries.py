"""A key and a prompt that are easy to find, and the search for them where they must not appear.

Tests send ``CANARY_KEY`` and ``CANARY_PROMPT``. The pytest plugin then looks for them in every log record and in
everything that a test passes to its ``canaries`` fixture. It also searches for halves, because texts are often cut.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

__all__ = ["CANARY_KEY", "CANARY_PROMPT", "Canaries", "found_in", "texts_of"]

CANARY_KEY = "sk-canary-q7Vt2mXw9LbR4kZp8NcJ3hYd"
CANARY_PROMPT = "Canary prompt: seven teal herons ferry copper kettles over Lake Ogalune."

_NEEDLES = {
    "the canary key": ("q7Vt2mXw9Lb", "kZp8NcJ3hYd"),
    "the canary prompt": ("seven teal herons", "over Lake Ogalune"),
}
_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def found_in(text: str) -> tuple[str, ...]:
    """Return which canaries, whole or in half, a text contains."""
    return tuple(name for name, needles in _NEEDLES.items() if any(needle in text for needle in needles))


def texts_of(thing: object) -> Iterator[str]:
    """Yield every text that an object shows easily.

    Args:
        thing: Text yields itself, anything else its ``str`` and ``repr``. An exception also yields its arguments, its
            attributes and its notes, and those of all exceptions that it is linked to or contains as a group.
    """
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, BaseException):
        for error in _linked(thing, set()):
            yield from (str(error), repr(error), repr(vars(error)), *getattr(error, "__notes__", ()))
    else:
        yield from (str(thing), repr(thing))


def _linked(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in (error.__cause__, error.__context__, *members):
        if other is not None:
            yield from _linked(other, seen)


class Canaries(logging.Handler):
    """Searches log records for canaries as they are emitted, and all objects that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.sightings: list[str] = []
        self._watched: list[object] = []

    def watch(self, thing: object) -> None:
        """Search an object at the end of the test: text, an exception, or anything with a ``repr``."""
        self._watched.append(thing)

    def emit(self, record: logging.LogRecord) -> None:
        """Search a log record: its text with exception and stack, and the fields that were added to it."""
        extras = [repr(value) for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS]
        self._search(f"a log record of {record.name!r}", [self.format(record), *extras])

    def search(self) -> list[str]:
        """Search the watched objects; return one sentence for each canary that was seen anywhere."""
        for thing in self._watched:
            self._search(f"{type(thing).__name__} {id(thing):#x}", texts_of(thing))
        self._watched.clear()
        return self.sightings

    def _search(self, place: str, texts: Iterator[str] | list[str]) -> None:
        for text in texts:
            for canary in found_in(text):
                self.sightings.append(f"{canary} is in {place}: {text[:300]}")
