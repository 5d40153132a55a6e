"""Fields of requests: what a value must be, and tables of what becomes of each field in the common schema.

One way for every API. A table has a rule for each field. A field that is null is not said; one that no rule names is
refused by name, because nothing is dropped in silence. An error says where the field stands: ``tools[0].name``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from localagent.http_answers import redact
from localagent_gateway.errors import unsupported, wrong

Document = dict[str, Any]
Rule = Callable[[Document, str, Any], None]
"""Writes what a field says into a document: given the document, where the field stands, and its value."""


@attrs.frozen
class Kind:
    """What a value must be.

    Attributes:
        types: Its types; true and false are no numbers here.
        expected: What an error says about any other value: "The field x must be ...".
        items: The types of its entries where it is a list; empty for all.
    """

    types: tuple[type, ...]
    expected: str
    items: tuple[type, ...] = ()

    def __call__(self, value: Any, where: str) -> Any:
        """Return the value.

        Raises:
            WrongField: It is something else.
        """
        if type(value) not in self.types or (self.items and type(value) is list and not self._holds(value)):
            raise wrong(f"The field {where} must be {self.expected}.", where)
        return value

    def _holds(self, value: list[Any]) -> bool:
        return set(map(type, value)) <= set(self.items)


TEXT = Kind((str,), "text")
FLAG = Kind((bool,), "true or false")
WHOLE = Kind((int,), "a whole number")
NUMBER = Kind((int, float), "a number")
OBJECT = Kind((dict,), "an object")
LIST = Kind((list,), "a list")
TEXTS = Kind((list,), "a list of texts", (str,))
TEXT_OR_TEXTS = Kind((str, list), "text or a list of texts", (str,))


def each(items: Any, where: str) -> list[tuple[str, Any]]:
    """Return the entries of a list, each with its place.

    Raises:
        WrongField: It is not a list.
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


@attrs.frozen
class Table:
    """The rules of an object's fields.

    Attributes:
        rules: By the field's name.
        passes: Whether a field without a rule is written as it is; else it is refused.
    """

    rules: Mapping[str, Rule]
    passes: bool = False

    def read(self, given: Any, where: str = "", document: Document | None = None) -> Document:
        """Return what the fields of an object make.

        Args:
            given: The object.
            where: Where it stands; empty for the body itself, whose unknown fields are refused even when empty.
            document: What they are written into; left out, a new one.

        Raises:
            WrongField: It is not an object, or a field is wrong or cannot be said (code ``unsupported``).
        """
        document = {} if document is None else document
        for name, value in OBJECT(given, where).items():
            if value is None:
                continue
            rule = self.rules.get(name)
            if rule is not None:
                rule(document, f"{where}.{name}" if where else name, value)
            elif self.passes:
                document[name] = value
            elif value or not where:
                place = redact(name[:1000])[:60]
                raise unsupported(f"the field {f'{where}.{place}' if where else place!r}", param=where or place)
        return document


def to(name: str, kind: Kind | None = None) -> Rule:
    """Make the rule for a field that the common schema has under a name.

    Args:
        name: The name.
        kind: What the value must be; None leaves that to the server.
    """

    def rule(document: Document, where: str, value: Any) -> None:
        document[name] = kind(value, where) if kind is not None else value

    return rule


def same(kind: Kind | None, *names: str) -> dict[str, Rule]:
    """Make the rules for fields that the common schema has under the same names."""
    return {name: to(name, kind) for name in names}


def elsewhere(kind: Kind | None, *names: str) -> dict[str, Rule]:
    """Make the rules for fields that only the answer reports, or are read apart."""

    def rule(document: Document, where: str, value: Any) -> None:
        if kind is not None:
            kind(value, where)

    return dict.fromkeys(names, rule)


def only(*values: Any) -> Rule:
    """Make the rule for a field that can say nothing but what happens anyway."""

    def rule(document: Document, where: str, value: Any) -> None:
        if value not in values:
            raise unsupported(f"the field {where!r} other than {' or '.join(map(repr, values))}", param=where)

    return rule


def refused(hint: str | None = None) -> Rule:
    """Make the rule for a field that must not say anything.

    Args:
        hint: What to do instead.
    """

    def rule(document: Document, where: str, value: Any) -> None:
        if value:
            raise unsupported(f"the field {where!r}", hint, param=where)

    return rule


def within(table: Table) -> Rule:
    """Make the rule for an object whose fields become those of the document itself."""

    def rule(document: Document, where: str, value: Any) -> None:
        table.read(value, where, document)

    return rule
