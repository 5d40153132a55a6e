"""What the cache tells of itself: counts by model, and how often each entry has answered."""

from __future__ import annotations

import attrs
import msgspec


@attrs.define
class Counts:
    """What became of the requests for a model, and of its answers.

    Attributes:
        hits: Requests that were answered.
        misses: Requests that were not.
        stored: Answers that were kept.
        evicted: Answers that went because there was no room.
        expired: Answers that went because of their age.
        too_large: Answers that were not kept because of their size.
    """

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    expired: int = 0
    too_large: int = 0

    def add(self, other: Counts) -> None:
        """Add what another one counted."""
        for field in attrs.fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@attrs.frozen
class Figures:
    """What is there, and what has happened since the cache was opened.

    Attributes:
        entries: Answers that are kept.
        size: Bytes that they take, as the bound counts them.
        total: The counts of all models.
        models: The counts of each model, by ``provider/name``.
    """

    entries: int
    size: int
    total: Counts
    models: dict[str, Counts]


class EntryFigures(msgspec.Struct, frozen=True):
    """An entry, without what was asked and answered.

    Attributes:
        model: The model that answered, as ``provider/name``.
        tenant: Whose entry it is.
        hits: How often it has answered.
        size: Bytes that it takes, as the bound counts them.
    """

    model: str
    tenant: str
    hits: int
    size: int
