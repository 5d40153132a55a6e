"""The list of models as Anthropic's API tells it: by pages (https://docs.anthropic.com/en/api/models-list)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localagent.errors import InvalidRequest

# Anthropic's own stand-in for a date of release that is unknown.
_UNKNOWN = "1970-01-01T00:00:00Z"


def model_row(name: str) -> dict[str, object]:
    """Return the object of one model."""
    return {"type": "model", "id": name, "display_name": name, "created_at": _UNKNOWN, "lifecycle": "active"}


def model_page(names: Sequence[str], query: Mapping[str, str]) -> dict[str, object]:
    """Return a page of models: all of them unless ``limit``, ``after_id`` or ``before_id`` say otherwise.

    Args:
        names: The names of all models.
        query: The query's parameters.

    Raises:
        InvalidRequest: ``limit`` is no number above 0, or a name to begin or end at is unknown.
    """
    start = _place(names, query, "after_id", -1) + 1
    stop = _place(names, query, "before_id", len(names))
    limit = _limit(query, len(names))
    from_the_end = "before_id" in query and "after_id" not in query
    shown = list(names[start:stop])
    page = shown[-limit:] if from_the_end else shown[:limit]
    return {
        "data": [model_row(name) for name in page],
        "has_more": len(page) < len(shown),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _place(names: Sequence[str], query: Mapping[str, str], name: str, otherwise: int) -> int:
    wanted = query.get(name)
    if wanted is None:
        return otherwise
    if wanted not in names:
        raise InvalidRequest(f"{name} names no model of the list.")
    return names.index(wanted)


def _limit(query: Mapping[str, str], otherwise: int) -> int:
    given = query.get("limit")
    if given is None:
        return max(otherwise, 1)
    if not (given.isascii() and given.isdigit() and 0 < len(given) < 10 and int(given)):
        raise InvalidRequest("limit is no number above 0.")
    return int(given)
