"""The statistics of the cache: counts by model, and the hits of each entry."""

from __future__ import annotations

import attrs
import msgspec


@attrs.define
class Counts:
    """The counts of requests for a model and of its answers.

    Attributes:
        hits: Requests that the cache answered.
        misses: Requests that it did not answer.
        stored: Answers that were kept.
        evicted: Answers that were removed because the cache was full.
        expired: Answers that were removed because of their age.
        too_large: Answers that were not kept because of their size.
    """

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    expired: int = 0
    too_large: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of another object."""
        for field in attrs.fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@attrs.frozen
class Figures:
    """The contents of the cache, and the counts since it was opened.

    Attributes:
        entries: The number of answers.
        size: Their size in bytes, as ``max_size`` counts it.
        total: The counts of all models.
        models: The counts of each model, by ``provider/name``.
    """

    entries: int
    size: int
    total: Counts
    models: dict[str, Counts]


class EntryFigures(msgspec.Struct, frozen=True):
    """An entry without its request and answer.

    Attributes:
        model: The model that answered, as ``provider/name``.
        tenant: The tenant of the entry.
        hits: How often it has answered.
        size: Its size in bytes, as ``max_size`` counts it.
    """

    model: str
    tenant: str
    hits: int
    size: int
