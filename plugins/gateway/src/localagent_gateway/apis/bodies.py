"""Reads the bodies of requests: JSON objects within limits, and without fields that could choose where they go."""

from __future__ import annotations

import math
import reprlib
from typing import Any

import attrs
import msgspec

from localagent import InvalidRequest
from localagent_gateway.apis.body_shape import check_shape

# Fields by which clients of other gateways choose host, key or headers: none is passed on, or ignored in silence.
DENIED = frozenset({
    "api_base", "api_key", "api_version", "base_url", "custom_llm_provider", "extra_headers", "headers",
    "mock_response", "model_list", "organization", "proxy", "timeout",
})  # fmt: skip


def _fraction(digits: str) -> float:
    """Return a number that is not whole; msgspec takes up to 40 us for one such as 1e300, this a thirtieth of it."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError("Number out of range")
    return value


_decode = msgspec.json.Decoder(float_hook=_fraction).decode


def named(value: Any) -> str:
    """Return how an error names a value of a body: at most 60 characters, whatever its size."""
    return value[:60] if isinstance(value, str) else reprlib.repr(value)[:60]


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
            raise InvalidRequest("The body is no JSON object.")
        if not DENIED.isdisjoint(document):
            name = min(DENIED & document.keys())
            raise InvalidRequest(f"The field {name} is not allowed here: the settings decide where requests go.",
                                 code="field_not_allowed")  # fmt: skip
        self._check(document)
        return document

    def _check(self, document: dict[str, Any]) -> None:
        if not isinstance(document.get("model", ""), str | None):
            raise InvalidRequest("The field model is no text.")
        if not isinstance(document.get("stream"), bool | None):
            raise InvalidRequest("The field stream is neither true nor false.")
        if not isinstance(document.get("stream_options"), dict | None):
            raise InvalidRequest("The field stream_options is no object.")
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
        raise InvalidRequest(f"The body is no valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deep.") from None
