"""Answers, whole and streamed: the bytes that a server sent, and frozen views that decode as little as is asked for.

A chat answer gets one typed decode (error, usage, finish reasons, text). Everything else stays in ``raw``: caches and
fronts hand it on, ``document`` decodes it for its reader. A stream is made of chunks; decoders and steps are what
providers and plugins bring for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from localagent.errors import UpstreamProtocol


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
    """A complete answer.

    Attributes:
        raw: The answer as JSON bytes in the OpenAI schema.
        model: The model that answered, as ``provider/name``.
        instance: The id of the instance that answered.
        usage: Tokens, when the server reported them.
        cached: The cache plugin that answered; empty when a model did.
        request_id: The id of the call.
        facts: Further figures from the provider, such as ``load_seconds``, and the public facts of plugins
            (``PublicFact``).
        receipt: What each step decided, when the call asked for it.
        coalesced: Whether the call shared the work of an identical one.
        age: Seconds since the answer was made, when a cache had it; None otherwise.
        forwarded: Why no cache answered; see ``Call.forwarded``.
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
    forwarded: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The whole answer, decoded again at each reading.

        Raises:
            UpstreamProtocol: The server's answer is not a valid JSON object.
        """
        try:
            document = msgspec.json.decode(self.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamProtocol(f"The answer is not valid JSON ({type(error).__name__}).") from None
        if not isinstance(document, dict):
            raise UpstreamProtocol("The answer is not a JSON object.")
        return document


class ChatResponse(Response, frozen=True, kw_only=True):
    """The answer to a chat.

    Example:
        import asyncio

        from localagent import Client

        async def main() -> None:
            async with Client() as client:
                response = await client.chat("Hello.", max_tokens=10)
            print(response.text, response.model, response.usage)
            print(response.message["role"], response.document["choices"])

        asyncio.run(main())

    Attributes:
        text: The text of the first choice; empty if it has none, as in a tool call.
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
    """The continuation of a text: ``text`` and ``finish_reasons`` as in ``ChatResponse``."""

    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.finish_reasons[0] if self.finish_reasons else None


class EmbedResponse(Response, frozen=True, kw_only=True):
    """Embeddings, one vector for each input."""

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


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream.

    Attributes:
        data: The event's data: a JSON object in the OpenAI schema, as the upstream sent it.
        text: The text that it adds to the first choice; empty when it adds none.
    """

    data: bytes
    text: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The whole event, decoded again at each reading."""
        document: dict[str, Any] = msgspec.json.decode(self.data)
        return document


class Decoder(Protocol):
    """Turns the bytes of one streamed answer into chunks; sans-I/O."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, when the server reported them."""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further figures that the server reported, such as ``load_seconds``."""

    @property
    def done(self) -> bool:
        """Whether the terminator has come."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete; ``done`` is true once the terminator came.

        Raises:
            LocalAgentError: The stream says that it failed, or is not the protocol. Chunks that came before it in the
                same bytes are left in ``rest``.
        """

    @property
    def rest(self) -> list[Chunk]:
        """Chunks that preceded the error which ``feed`` raised."""

    def meaningful(self, chunk: Chunk) -> bool:
        """Say whether a chunk carries content; asked until the first that does."""

    def end(self) -> list[Chunk]:
        """Take note that the bytes have ended; return chunks that only the end completes.

        Raises:
            StreamInterrupted: No terminator had come.
        """


@runtime_checkable
class StreamStep(Protocol):
    """A plugin's part in one stream, for one consumer. No iterator, nothing to close."""

    def feed(self, chunk: Chunk) -> Sequence[Chunk] | None:
        """Return what becomes of a chunk: None for unchanged, a sequence instead of it (``()`` swallows)."""

    def end(self, reason: str) -> Sequence[Chunk] | None:
        """Return last chunks when the stream ended well; they pass the later steps. ``reason``: the finish reason."""
