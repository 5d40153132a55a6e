"""Answers: the bytes that a server sent, and frozen views that decode as little of them as is asked for.

A chat answer gets one typed decode (error, usage, finish reasons, text). Everything else stays in ``raw``: caches and
fronts hand it on, ``document`` decodes it for whoever reads it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from localagent.errors import UpstreamProtocol

_decode_any = msgspec.json.Decoder().decode


class Usage(msgspec.Struct, frozen=True):
    """Tokens that an answer cost.

    Attributes:
        prompt_tokens: Tokens of the request, cached ones included.
        completion_tokens: Tokens of the answer, reasoning included.
        total_tokens: As the server counted them.
        cached_tokens: Tokens of the request that the server had in its own prompt cache.
        reasoning_tokens: Tokens of the answer that were reasoning.
        estimated: True when no server reported them.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is complete.

    Attributes:
        raw: The answer as JSON bytes in the OpenAI schema.
        model: The model that answered, as ``provider/name``.
        instance: The id of the instance that answered.
        usage: Tokens, when the server reported them.
        cached: The cache plugin that answered; empty when a model did.
        request_id: The id of the call.
        facts: Further figures that the provider reported, such as ``load_seconds``.
        receipt: What each step decided, when the call asked for it.
        coalesced: Whether the call shared the work of an identical one.
        age: Seconds since the answer was made, when a cache had it; None otherwise.
    """

    raw: bytes
    model: str = ""
    instance: str = ""
    usage: Usage | None = None
    cached: str = ""
    request_id: str = ""
    facts: dict[str, Any] = msgspec.field(default_factory=dict)
    receipt: Any = None
    coalesced: bool = False
    age: float | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The whole answer, decoded anew at each reading.

        Raises:
            UpstreamProtocol: The server's answer is no valid JSON object.
        """
        try:
            document = _decode_any(self.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamProtocol(f"The answer is no valid JSON ({type(error).__name__}).") from None
        if not isinstance(document, dict):
            raise UpstreamProtocol("The answer is no JSON object.")
        return document


class ChatResponse(Response, frozen=True, kw_only=True):
    """The answer to a chat.

    Attributes:
        text: The text of the first choice; empty when it holds none (a tool call, say).
        finish_reasons: Why each choice ended, in the order of the answer.
        streamed: The data of the events, when the answer came as a stream; None otherwise.
    """

    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()
    streamed: tuple[bytes, ...] | None = None

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended: stop, length, tool_calls or content_filter."""
        return self.finish_reasons[0] if self.finish_reasons else None

    @property
    def message(self) -> dict[str, Any]:
        """The first choice's message, with tool calls and whatever else the server put there."""
        choices = self.document.get("choices") or [{}]
        return choices[0].get("message") or {}


class CompletionResponse(Response, frozen=True, kw_only=True):
    """The continuation of a text."""

    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.finish_reasons[0] if self.finish_reasons else None


class EmbedResponse(Response, frozen=True, kw_only=True):
    """Embeddings, one vector an input."""

    @property
    def vectors(self) -> list[list[float]]:
        """The vectors in the order of the inputs; every component is a float.

        Raises:
            UpstreamProtocol: The answer holds no list of vectors.
        """
        rows = self.document.get("data")
        if not isinstance(rows, list):
            raise UpstreamProtocol("The answer holds no embeddings.")
        return [row["embedding"] for row in sorted(rows, key=lambda row: row.get("index", 0))]


class ModelInfo(msgspec.Struct, frozen=True):
    """A model that an instance offers.

    Attributes:
        id: The model's name, without its provider.
        provider: The provider's name.
        instance: The instance that listed it.
        context_length: Tokens that fit the window, when known.
        owner: Who made or serves it, as the server says.
        facts: What else the server told.
        tools: Whether it can call tools; None, as in what follows, means that nobody said.
        vision: Whether it can be shown images.
        json_schema: Whether its answers can be held to a JSON schema.
        embedding_size: Numbers in an embedding.
    """

    id: str
    provider: str = ""
    instance: str = ""
    context_length: int | None = None
    owner: str = ""
    facts: dict[str, Any] = msgspec.field(default_factory=dict)
    tools: bool | None = None
    vision: bool | None = None
    json_schema: bool | None = None
    embedding_size: int | None = None

    @property
    def name(self) -> str:
        """``provider/id``: what ``Client.chat`` takes."""
        return f"{self.provider}/{self.id}"
