"""Requests: frozen views of the decoded document that a user sent.

All requests use the OpenAI schema. A view knows the few fields that the pipeline needs; all others stay in the
document, unknown ones included. A document is never changed in place: ``replace`` makes a new view.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import msgspec

from localagent.errors import InvalidRequest

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """A request to a model.

    Attributes:
        operation: chat, complete or embed.
        document: The decoded JSON object, in the OpenAI schema. Do not change it in place.

    Since: 0.1.
    """

    operation: ClassVar[str] = ""

    document: dict[str, Any]

    @property
    def model(self) -> str:
        """The model as the user named it: ``provider/name``, an alias, or empty for the default."""
        return self.document.get("model") or ""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field of the document, or ``default`` if it is missing."""
        return self.document.get(name, default)

    def replace(self, **fields: Any) -> Self:
        """Return a view of a copy of the document with these fields set."""
        return type(self)({**self.document, **fields})

    def without(self, *names: str) -> Self:
        """Return a view of a copy of the document without these fields."""
        return type(self)({name: value for name, value in self.document.items() if name not in names})

    def check(self) -> None:
        """Refuse a request that no server could answer, before anything is sent.

        Raises:
            InvalidRequest: The document is not a valid request of this operation.
        """

    def encode(self, **fields: Any) -> bytes:
        """Return the document as JSON bytes, with these fields set.

        Raises:
            InvalidRequest: The document contains a value that JSON cannot represent.
        """
        try:
            return _encode({**self.document, **fields})
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise InvalidRequest(f"The request cannot be written as JSON: {type(error).__name__}.") from None


class ChatRequest(Request, frozen=True):
    """A request for the next message of a conversation.

    Example:
        >>> request = ChatRequest({"messages": [{"role": "user", "content": "Hello"}]})
        >>> request.replace(max_tokens=60).get("max_tokens")
        60

    Since: 0.1.
    """

    operation = "chat"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation so far, oldest first."""
        return self.document.get("messages") or []

    def check(self) -> None:
        """Refuse ``messages`` that are missing, empty, or contain an item that is not an object with a role."""
        messages = self.document.get("messages")
        if not isinstance(messages, list) or not messages:
            raise InvalidRequest(
                "A chat needs at least one message.", hint='Pass [{"role": "user", "content": "..."}].'
            )
        for number, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise InvalidRequest(f"messages[{number}] must be an object with a role.")


class CompletionRequest(Request, frozen=True):
    """A request to continue a text.

    Since: 0.1.
    """

    operation = "complete"

    @property
    def prompt(self) -> Any:
        """The text to continue: a string, or another form that the server accepts."""
        return self.document.get("prompt")


class EmbedRequest(Request, frozen=True):
    """A request for the embeddings of one or several texts.

    Since: 0.1.
    """

    operation = "embed"

    @property
    def inputs(self) -> list[Any]:
        """The inputs, always as a list."""
        value = self.document.get("input")
        return value if isinstance(value, list) else [value]


def as_messages(messages: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a prompt as a conversation of one message; return a conversation unchanged."""
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


def document_of(fields: dict[str, Any], name: str, value: Any, model: str) -> dict[str, Any]:
    """Return the document of a request: what it is about, further fields, and the model if one is named."""
    document = {name: value, **fields}
    if model:
        document["model"] = model
    return document
