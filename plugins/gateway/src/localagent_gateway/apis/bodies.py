"""Reads the bodies of requests: JSON objects within limits, and without fields that could choose where they go.

What a body may hold is bounded before it is decoded. The decoder holds the interpreter's lock, so one body with
millions of values stops every other request, in a thread too. What is counted here is counted on the bytes, block by
block, by methods of ``bytes`` alone: a MiB takes about a millisecond. Bytes that are not JSON get some count; the
decoder refuses them afterwards.
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

# Fields by which clients of other gateways choose host, key or headers: none is passed on, or ignored in silence.
DENIED = frozenset({
    "api_base", "api_key", "api_version", "base_url", "custom_llm_provider", "extra_headers", "headers",
    "mock_response", "model_list", "organization", "proxy", "timeout",
})  # fmt: skip
# What every API has, by these names.
_EVERYWHERE = {"model": TEXT, "stream": FLAG, "stream_options": OBJECT}
ESCAPES = 2_000_000
"""Escapes in the texts of a body: each takes ten times as long to decode as a plain character."""
WHOLE_NUMBERS = 10
"""Values that cost next to nothing, such as tokens to embed: so many count as one."""
BLOCK = 256 * 1024
"""Bytes that are looked at in one go."""

_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes 1 and -1: what accumulates is the depth


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_NO_STRUCTURE = _all_but(b"[{]},.eE")
_NO_BRACKETS = _all_but(b"[{]}")


class ShapeCount:
    """Counts what a body holds, and refuses it as soon as that is too much.

    Objects, lists, texts, names of fields, fractions, true and false count as one value each; whole numbers and null
    as a tenth.

    Args:
        values: The most values.
        depth: The most objects and lists that may be nested.
    """

    __slots__ = ("_depth", "_escapes", "_inside", "_level", "_opened", "_plain", "_quotes", "_rest", "_values")

    def __init__(self, values: int, depth: int) -> None:
        self._values, self._depth = values, depth
        self._quotes = self._opened = self._plain = self._escapes = self._level = 0
        self._inside = False  # a text: whether the last block ended within one
        self._rest = b""  # a backslash at the end of the last block: what it escapes is still to come

    def add(self, block: bytes) -> None:
        """Count one more block of the body.

        Raises:
            TooLarge: It holds too much, or is nested too deep.
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
            raise TooLarge(f"The texts of the body hold more than {ESCAPES} escapes.")
        block = block.replace(b"\\\\", b"")
        self._rest = b"\\" if block.endswith(b"\\") else b""
        return block.replace(b'\\"', b"")

    def _add_structure(self, structure: bytes) -> None:
        brackets = structure.translate(None, _NO_BRACKETS)
        opened = brackets.count(b"[") + brackets.count(b"{")
        plain = structure.count(b",")
        # Closing brackets count for nothing where there is an opening one for each, which there is in JSON.
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
            raise TooLarge(f"The body is nested deeper than {self._depth} levels.")
        self._level = levels[-1]

    def _too_many(self) -> TooLarge:
        return TooLarge(f"The body holds more than {self._values} values.", hint="Send it in several requests.")


def is_small(body: bytes, values: int, depth: int) -> bool:
    """Whether a body is so short that it cannot hold too much: most are, and none of them is counted."""
    return len(body) <= values and body.count(b"[") + body.count(b"{") <= depth


def check_shape(body: bytes, values: int, depth: int) -> None:
    """Refuse a body that holds too much, or is nested too deep; see ``ShapeCount``.

    Args:
        body: The JSON text.
        values: The most values.
        depth: The most objects and lists that may be nested.

    Raises:
        TooLarge: It does.
    """
    if is_small(body, values, depth):
        return
    count = ShapeCount(values, depth)
    for start in range(0, len(body), BLOCK):
        count.add(body[start : start + BLOCK])


def _fraction(digits: str) -> float:
    """Return a number that is not whole; msgspec takes up to 40 us for one such as 1e300, this a thirtieth of it."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError("Number out of range")
    return value


_decode = msgspec.json.Decoder(float_hook=_fraction).decode


@attrs.frozen
class BodyLimits:
    """How large a body's content may be.

    Attributes:
        depth: The most objects and lists that may be nested.
        messages: The most messages of one conversation.
        values: The most values; see ``check_shape``.
    """

    depth: int
    messages: int
    values: int = 60_000

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the JSON object that a body holds; of a repeated name the last value counts.

        Raises:
            InvalidRequest: It holds none, holds too much, is nested too deep, or a field of it is refused.
        """
        check_shape(body, self.values, self.depth)
        return self.decode(body)

    def decode(self, body: bytes) -> dict[str, Any]:
        """Return the same for a body of which it is known that it does not hold too much."""
        document = decoded(body)
        if not isinstance(document, dict):
            raise InvalidRequest("The body must be a JSON object.")
        if not DENIED.isdisjoint(document):
            name = min(DENIED & document.keys())
            raise InvalidRequest(f"The field {name} is not allowed here: the settings decide where requests go.",
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
    """Return what a JSON text says.

    Raises:
        InvalidRequest: It is not valid JSON, or not UTF-8.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deep.") from None
