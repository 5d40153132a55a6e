"""Requests: frozen views over the decoded document that a user sent.

The OpenAI schema is the common tongue. A view knows the few fields that the pipeline needs; all others live on in the
document, unknown ones too. Nobody changes a document in place: ``replace`` makes a new view.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import msgspec

from localagent.errors import InvalidRequest

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """A request to a model.

    Attributes:
        document: The decoded JSON object, in the OpenAI schema. Not to be changed in place.
    """

    operation: ClassVar[str] = ""

    document: dict[str, Any]

    @property
    def model(self) -> str:
        """The model as the user named it: ``provider/name``, an alias, or empty for the default."""
        return self.document.get("model") or ""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field of the document, or ``default``."""
        return self.document.get(name, default)

    def replace(self, **fields: Any) -> Self:
        """Return a view over a copy of the document with these fields set."""
        return type(self)({**self.document, **fields})

    def without(self, *names: str) -> Self:
        """Return a view over a copy of the document that lacks these fields."""
        return type(self)({name: value for name, value in self.document.items() if name not in names})

    def check(self) -> None:
        """Refuse what no server could answer, before anything is sent.

        Raises:
            InvalidRequest: The document is none of this operation.
        """

    def encode(self, **fields: Any) -> bytes:
        """Return the document as JSON bytes, with these fields set in place of its own.

        Raises:
            InvalidRequest: The document holds something that JSON cannot say.
        """
        try:
            return _encode({**self.document, **fields})
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise InvalidRequest(f"The request cannot be written as JSON: {type(error).__name__}.") from None


class ChatRequest(Request, frozen=True):
    """A request for the next message of a conversation."""

    operation = "chat"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation so far, oldest first."""
        return self.document.get("messages") or []

    def check(self) -> None:
        """Refuse ``messages`` that are missing, empty, or hold something that is not a message."""
        messages = self.document.get("messages")
        if not isinstance(messages, list) or not messages:
            raise InvalidRequest(
                "A chat needs at least one message.", hint='Pass [{"role": "user", "content": "..."}].'
            )
        for number, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise InvalidRequest(f"messages[{number}] must be an object with a role.")


class CompletionRequest(Request, frozen=True):
    """A request to continue a text."""

    operation = "complete"

    @property
    def prompt(self) -> Any:
        """The text to continue: a string, or what else the server accepts."""
        return self.document.get("prompt")


class EmbedRequest(Request, frozen=True):
    """A request for embeddings of one text or several."""

    operation = "embed"

    @property
    def inputs(self) -> list[Any]:
        """The inputs, always as a list."""
        value = self.document.get("input")
        return value if isinstance(value, list) else [value]


def as_messages(messages: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turn a bare prompt into a conversation of one message; pass a conversation through."""
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
