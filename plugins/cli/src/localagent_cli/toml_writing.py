"""Writes tables as TOML 1.0; the standard library only reads it."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_toml(table: Mapping[str, Any]) -> str:
    """Return a table as TOML. Values that are None and empty tables are omitted.

    Args:
        table: Texts, numbers, ``bool``, dates and times, lists and tables of these. For any other object, only the
            name of its class is written.
    """
    return "\n".join(_lines("", table)).lstrip("\n") + "\n"


def _lines(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table: its values first, because lines after a header belong to that header."""
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    values = {key: value for key, value in table.items() if key not in tables and value is not None}
    if path and values:
        yield from ("", f"[{path}]")
    yield from (f"{_key(key)} = {_value(value)}" for key, value in values.items())
    for key, value in tables.items():
        yield from _lines(f"{path}.{_key(key)}" if path else _key(key), value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items() if item is not None)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return _text(value if isinstance(value, str) else f"a {type(value).__name__}")


def _text(text: str) -> str:
    # A JSON string is also a TOML string, except for the one control character that JSON does not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
