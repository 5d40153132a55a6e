"""Fields of requests: the types of their values, and tables that translate them to the common schema.

All APIs use these tables, which have a rule for each field. A field that is null counts as missing. A field without a
rule is refused by name, because no field is dropped silently. An error names the place of the field:
``tools[0].name``.
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
"""Writes a field into a document: gets the document, the place of the field, and its value."""


@attrs.frozen
class Kind:
    """The type of a value.

    Attributes:
        types: Its Python types; true and false do not count as numbers.
        expected: Its description in errors: "The field x must be ...".
        items: The types of its entries if it is a list; empty for all types.
    """

    types: tuple[type, ...]
    expected: str
    items: tuple[type, ...] = ()

    def __call__(self, value: Any, where: str) -> Any:
        """Return the value.

        Raises:
            WrongField: It has another type.
        """
        if type(value) not in self.types or (self.items and type(value) is list and not self._holds(value)):
            raise wrong(f"The field {where} must be {self.expected}.", where)
        return value

    def _holds(self, value: list[Any]) -> bool:
        return set(map(type, value)) <= set(self.items)


TEXT = Kind((str,), "a string")
FLAG = Kind((bool,), "true or false")
WHOLE = Kind((int,), "an integer")
NUMBER = Kind((int, float), "a number")
OBJECT = Kind((dict,), "an object")
LIST = Kind((list,), "a list")
TEXTS = Kind((list,), "a list of strings", (str,))
TEXT_OR_TEXTS = Kind((str, list), "a string or a list of strings", (str,))


def each(items: Any, where: str) -> list[tuple[str, Any]]:
    """Return the entries of a list, each with its place.

    Raises:
        WrongField: The value is not a list.
    """
    return [(f"{where}[{number}]", item) for number, item in enumerate(LIST(items, where))]


def needed(given: Mapping[str, Any], name: str, kind: Kind, where: str = "") -> Any:
    """Return a required field.

    Raises:
        WrongField: It is missing, or has another type.
    """
    place = f"{where}.{name}" if where else name
    if given.get(name) is None:
        raise wrong(f"The field {place} is missing.", place)
    return kind(given[name], place)


def named(value: Any) -> str:
    """Return a value of a body as errors show it: at most 60 characters."""
    return value[:60] if isinstance(value, str) else reprlib.repr(value)[:60]


@attrs.frozen
class Table:
    """The rules of an object's fields.

    Attributes:
        rules: The rules by field name.
        passes: Whether a field without a rule is copied; otherwise it is refused.
    """

    rules: Mapping[str, Rule]
    passes: bool = False

    def read(self, given: Any, where: str = "", document: Document | None = None) -> Document:
        """Return the document for the fields of an object.

        Args:
            given: The object.
            where: Its place; empty for the body itself, whose unknown fields are refused even when empty.
            document: The document to write into; by default a new one.

        Raises:
            WrongField: It is not an object, or a field is wrong or not supported (code ``unsupported``).
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
    """Return the rule for a field with this name in the common schema.

    Args:
        name: The name.
        kind: The type of the value; None leaves the check to the server.
    """

    def rule(document: Document, where: str, value: Any) -> None:
        document[name] = kind(value, where) if kind is not None else value

    return rule


def same(kind: Kind | None, *names: str) -> dict[str, Rule]:
    """Return the rules for fields with the same names in the common schema."""
    return {name: to(name, kind) for name in names}


def elsewhere(kind: Kind | None, *names: str) -> dict[str, Rule]:
    """Return the rules for fields that only the answer repeats, or that other code reads."""

    def rule(document: Document, where: str, value: Any) -> None:
        if kind is not None:
            kind(value, where)

    return dict.fromkeys(names, rule)


def only(*values: Any) -> Rule:
    """Return the rule for a field that may only have values that request the default behaviour."""

    def rule(document: Document, where: str, value: Any) -> None:
        if value not in values:
            allowed = " or ".join(map(repr, values))
            raise unsupported(f"values of the field {where!r} other than {allowed}", param=where)

    return rule


def refused(hint: str | None = None) -> Rule:
    """Return the rule for a field that must be empty.

    Args:
        hint: What the client can do instead.
    """

    def rule(document: Document, where: str, value: Any) -> None:
        if value:
            raise unsupported(f"the field {where!r}", hint, param=where)

    return rule


def within(table: Table) -> Rule:
    """Return the rule for an object whose fields become fields of the document itself."""

    def rule(document: Document, where: str, value: Any) -> None:
        table.read(value, where, document)

    return rule
