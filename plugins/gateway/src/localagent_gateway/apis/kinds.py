"""What a value of a request must be, and how an error names one that is something else."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import attrs

from localagent_gateway.errors import wrong


@attrs.frozen
class Kind:
    """What a value must be.

    Attributes:
        types: Its types; true and false are no numbers here.
        otherwise: What an error says of any other value: "The field x is ...".
        items: The types of its entries where it is a list; empty for all.
    """

    types: tuple[type, ...]
    otherwise: str
    items: tuple[type, ...] = ()

    def __call__(self, value: Any, where: str) -> Any:
        """Return the value.

        Raises:
            WrongField: It is something else.
        """
        if type(value) not in self.types or (self.items and type(value) is list and not self._holds(value)):
            raise wrong(f"The field {where} is {self.otherwise}.", where)
        return value

    def _holds(self, value: list[Any]) -> bool:
        return set(map(type, value)) <= set(self.items)


TEXT = Kind((str,), "no text")
FLAG = Kind((bool,), "neither true nor false")
WHOLE = Kind((int,), "no whole number")
NUMBER = Kind((int, float), "no number")
OBJECT = Kind((dict,), "no object")
LIST = Kind((list,), "no list")
TEXTS = Kind((list,), "no list of texts", (str,))
TEXT_OR_TEXTS = Kind((str, list), "neither a text nor a list of texts", (str,))


def each(items: Any, where: str) -> list[tuple[str, Any]]:
    """Return the entries of a list, each with its place.

    Raises:
        WrongField: It is no list.
    """
    return [(f"{where}[{number}]", item) for number, item in enumerate(LIST(items, where))]


def needed(given: Mapping[str, Any], name: str, kind: Kind, where: str = "") -> Any:
    """Return a field that must be there.

    Raises:
        WrongField: It is missing, or something else.
    """
    place = f"{where}.{name}" if where else name
    if given.get(name) is None:
        raise wrong(f"The field {place} is missing.", place)
    return kind(given[name], place)


def named(value: Any) -> str:
    """Return how an error names a value of a body: at most 60 characters, whatever its size."""
    return value[:60] if isinstance(value, str) else reprlib.repr(value)[:60]
