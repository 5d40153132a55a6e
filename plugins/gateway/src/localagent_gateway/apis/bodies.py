"""Reads the bodies of requests: JSON objects within limits, and without fields that could choose their destination.

The contents of a body are limited before it is decoded. The decoder holds the interpreter's lock, so one body with
millions of values blocks every other request, even from a thread. The values are counted on the bytes, block by block,
with methods of ``bytes`` only: a MiB takes about a millisecond. Bytes that are not JSON get some count; the decoder
refuses them afterwards.
"""

from __future__ import annotations

import math
from array import array
from itertools import accumulate
from typing import Any

import attrs
import msgspec

from localagent.errors import InvalidRequest
from localagent_gateway.apis.fields import FLAG, OBJECT, TEXT
from localagent_gateway.errors import TooLarge

#: Fields by which clients of other gateways choose host, key or headers: they are refused, not passed on or ignored.
DENIED = frozenset({
    "api_base", "api_key", "api_version", "base_url", "custom_llm_provider", "extra_headers", "headers",
    "mock_response", "model_list", "organization", "proxy", "timeout",
})  # fmt: skip
#: Fields that have these names in every API.
_EVERYWHERE = {"model": TEXT, "stream": FLAG, "stream_options": OBJECT}
ESCAPES = 2_000_000
"""The most escapes in the strings of a body: each takes ten times as long to decode as a plain character."""
WHOLE_NUMBERS = 10
"""The number of cheap values, such as tokens to embed, that count as one value."""
BLOCK = 256 * 1024
"""Bytes that are counted in one step."""

_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes 1 and -1: their sum is the depth


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_NO_STRUCTURE = _all_but(b"[{]},.eE")
_NO_BRACKETS = _all_but(b"[{]}")


class ShapeCount:
    """Counts the values of a body, and refuses it as soon as there are too many.

    Objects, lists, strings, field names, fractions, true and false count as one value each; integers and null as a
    tenth.

    Args:
        values: The most values.
        depth: The deepest nesting of objects and lists.
    """

    __slots__ = ("_depth", "_escapes", "_inside", "_level", "_opened", "_plain", "_quotes", "_rest", "_values")

    def __init__(self, values: int, depth: int) -> None:
        self._values, self._depth = values, depth
        self._quotes = self._opened = self._plain = self._escapes = self._level = 0
        self._inside = False  # whether the last block ended inside a string
        self._rest = b""  # a backslash at the end of the last block, whose escaped character is still to come

    def add(self, block: bytes) -> None:
        """Count one more block of the body.

        Raises:
            TooLarge: There are too many values, or they are nested too deeply.
        """
        block = self._without_escapes(self._rest + block)
        quotes = block.count(b'"')
        self._quotes += quotes
        if self._quotes // 2 > self._values:
            raise self._too_many()
        outside = b"".join(block.split(b'"')[self._inside :: 2])
        self._inside ^= bool(quotes % 2)
        self._add_structure(outside.translate(None, _NO_STRUCTURE))

    def _without_escapes(self, block: bytes) -> bytes:
        if b"\\" not in block:
            self._rest = b""
            return block
        self._escapes += block.count(b"\\")
        if self._escapes > ESCAPES:
            raise TooLarge(f"The strings of the body contain more than {ESCAPES} escapes.")
        block = block.replace(b"\\\\", b"")
        self._rest = b"\\" if block.endswith(b"\\") else b""
        return block.replace(b'\\"', b"")

    def _add_structure(self, structure: bytes) -> None:
        brackets = structure.translate(None, _NO_BRACKETS)
        opened = brackets.count(b"[") + brackets.count(b"{")
        plain = structure.count(b",")
        # Closing brackets are not counted if each has an opening one, as in JSON.
        self._opened += max(opened, len(brackets) - self._opened - opened) + len(structure) - len(brackets) - plain
        self._plain += plain
        if self._opened + self._quotes // 2 + self._plain // WHOLE_NUMBERS > self._values:
            raise self._too_many()
        if brackets and self._opened > self._depth:
            self._add_levels(brackets)
        else:
            self._level += 2 * opened - len(brackets)

    def _add_levels(self, brackets: bytes) -> None:
        levels = list(accumulate(array("b", brackets.translate(_BRACKETS)), initial=self._level))
        if max(levels) > self._depth:
            raise TooLarge(f"The body is nested more than {self._depth} levels deep.")
        self._level = levels[-1]

    def _too_many(self) -> TooLarge:
        return TooLarge(f"The body contains more than {self._values} values.", hint="Send it in several requests.")


def is_small(body: bytes, values: int, depth: int) -> bool:
    """Return whether a body is too short to exceed the limits: most are, so they do not have to be counted."""
    return len(body) <= values and body.count(b"[") + body.count(b"{") <= depth


def check_shape(body: bytes, values: int, depth: int) -> None:
    """Refuse a body with too many values or too deep nesting; see ``ShapeCount``.

    Args:
        body: The JSON text.
        values: The most values.
        depth: The deepest nesting of objects and lists.

    Raises:
        TooLarge: The body exceeds a limit.
    """
    if is_small(body, values, depth):
        return
    count = ShapeCount(values, depth)
    for start in range(0, len(body), BLOCK):
        count.add(body[start : start + BLOCK])


def _fraction(digits: str) -> float:
    """Return a number that is not an integer, such as 1e300, in a thirtieth of the up to 40 us that msgspec needs."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError("Number out of range")
    return value


_decode = msgspec.json.Decoder(float_hook=_fraction).decode


@attrs.frozen
class BodyLimits:
    """The limits on a body's contents.

    Attributes:
        depth: The deepest nesting of objects and lists.
        messages: The most messages of one conversation.
        values: The most values; see ``check_shape``.
    """

    depth: int
    messages: int
    values: int = 60_000

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the JSON object of a body; the last value of a repeated name counts.

        Raises:
            InvalidRequest: The body is not a JSON object, exceeds a limit, or has a field that is refused.
        """
        check_shape(body, self.values, self.depth)
        return self.decode(body)

    def decode(self, body: bytes) -> dict[str, Any]:
        """Return the JSON object of a body whose shape was already checked; errors as in ``read``."""
        document = decoded(body)
        if not isinstance(document, dict):
            raise InvalidRequest("The body must be a JSON object.")
        if not DENIED.isdisjoint(document):
            name = min(DENIED & document.keys())
            raise InvalidRequest(f"The field {name} is not allowed: the settings decide where requests go.",
                                 code="field_not_allowed")  # fmt: skip
        self._check(document)
        return document

    def _check(self, document: dict[str, Any]) -> None:
        for name, kind in _EVERYWHERE.items():
            if (value := document.get(name)) is not None:
                kind(value, name)
        messages = document.get("messages")
        if isinstance(messages, list) and len(messages) > self.messages:
            raise InvalidRequest(f"The conversation has more than {self.messages} messages.")


def decoded(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        InvalidRequest: It is not valid JSON, or not UTF-8.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
