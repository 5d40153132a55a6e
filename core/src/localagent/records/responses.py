"""Answers, whole and streamed: the bytes that a server sent, and frozen views that decode only what is needed.

A chat answer gets one typed decode (error, usage, finish reasons, text). Everything else stays in ``raw``: caches and
HTTP servers forward it, and ``document`` decodes it on demand. A stream consists of chunks; providers bring decoders
for it, and plugins bring steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from localagent.errors import UpstreamProtocol


class Usage(msgspec.Struct, frozen=True):
    """The token counts of an answer; a count is None when it was not reported, never 0.

    The last four are parts of the others; they never exceed them.

    Attributes:
        prompt_tokens: Everything that was read, cached tokens included.
        completion_tokens: Everything that was written, reasoning included.
        total_tokens: Both together, as the server counted them, or else their sum.
        cached_tokens: The part of the prompt that the server had in its own prompt cache.
        reasoning_tokens: The part of the completion that was reasoning.
        cache_write_tokens: The part of the prompt that the server has stored in its prompt cache.
        audio_tokens: The part of prompt and completion that was audio.
        estimated: True when the counts were made here and not by the server.

    Since: 0.1.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    estimated: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer.

    Attributes:
        raw: The answer as JSON bytes in the OpenAI schema.
        model: The model that answered, as ``provider/name``.
        instance: The id of the instance that answered.
        usage: Token counts; None when the server reported none.
        cached: The cache plugin that answered; empty when a model did.
        request_id: The id of the call.
        facts: Further figures that the provider reported, such as ``load_seconds``, and facts that plugins publish
            (``PublicFact``).
        receipt: The ``Receipt``, with the decision of each step, when the call asked for it; None otherwise.
        coalesced: Whether the call shared the work of an identical one.
        age: Seconds since the answer was made, when it came from a cache; None otherwise.
        forwarded: Why no cache answered: ``request``, ``bypass`` or ``miss``; see ``Call.forwarded``.

    Since: 0.1.
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
        """The whole answer, decoded again at each access.

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
    """The answer to a chat request.

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
        text: The text of the first choice; empty when it has no text, for example with a tool call.
        finish_reasons: Why each choice ended, in the order of the answer.
        streamed: The data of the events, when the answer came as a stream; None otherwise.

    Since: 0.1.
    """

    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()
    streamed: tuple[bytes, ...] | None = None

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended: stop, length, tool_calls or content_filter; None when not reported."""
        return self.finish_reasons[0] if self.finish_reasons else None

    @property
    def message(self) -> dict[str, Any]:
        """The message of the first choice, with tool calls and all other fields that the server sent."""
        choices = self.document.get("choices") or [{}]
        return choices[0].get("message") or {}


class CompletionResponse(Response, frozen=True, kw_only=True):
    """The continuation of a text.

    Attributes:
        text: The text of the first choice.
        finish_reasons: Why each choice ended, in the order of the answer.

    Since: 0.1.
    """

    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None when not reported."""
        return self.finish_reasons[0] if self.finish_reasons else None


class EmbedResponse(Response, frozen=True, kw_only=True):
    """Embeddings, one vector per input.

    Example:
        ::

            response = await client.embed(["red", "blue"])
            print(len(response.vectors))  # 2

    Since: 0.1.
    """

    @property
    def vectors(self) -> list[list[float]]:
        """The vectors in the order of the inputs; every component is a float.

        Raises:
            UpstreamProtocol: The answer contains no list of vectors.
        """
        rows = self.document.get("data")
        if not isinstance(rows, list):
            raise UpstreamProtocol("The answer contains no embeddings.")
        return [row["embedding"] for row in sorted(rows, key=lambda row: row.get("index", 0))]


class ModelInfo(msgspec.Struct, frozen=True):
    """A model that an instance offers.

    Attributes:
        id: The model's name, without its provider.
        provider: The provider's name.
        instance: The instance that listed it.
        context_length: Size of the context window in tokens; None when unknown.
        owner: Who made or serves it, as the server reports.
        facts: Further facts that the server reported.
        tools: Whether it can call tools; None when unknown.
        vision: Whether it accepts images; None when unknown.
        json_schema: Whether its answers can be restricted to a JSON schema; None when unknown.
        embedding_size: Numbers in an embedding; None when unknown.

    Example:
        >>> ModelInfo("gpt-5-mini", provider="openai").name
        'openai/gpt-5-mini'

    Since: 0.1.
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
        """``provider/id``: the name that ``Client.chat`` accepts as ``model``."""
        return f"{self.provider}/{self.id}"


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream.

    Attributes:
        data: The event's data: a JSON object in the OpenAI schema, as the server sent it.
        text: The text that it adds to the first choice; may be empty.

    Example:
        ::

            async with client.stream("Count to five.") as stream:
                async for chunk in stream:
                    print(chunk.text, end="")

    Since: 0.1.
    """

    data: bytes
    text: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The whole event, decoded again at each access."""
        document: dict[str, Any] = msgspec.json.decode(self.data)
        return document


class Decoder(Protocol):
    """Turns the bytes of one streamed answer into chunks; sans-I/O.

    Since: 0.1.
    """

    @property
    def usage(self) -> Usage | None:
        """Token counts; None when the server reported none."""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None when not reported."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further figures that the server reported, such as ``load_seconds``."""

    @property
    def done(self) -> bool:
        """Whether the terminator has arrived."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete; ``done`` is true once the terminator has arrived.

        Raises:
            LocalAgentError: The stream reports a failure, or violates the protocol. Earlier chunks from the same bytes
                are in ``rest``.
        """

    @property
    def rest(self) -> list[Chunk]:
        """Chunks that preceded the error which ``feed`` raised."""

    def meaningful(self, chunk: Chunk) -> bool:
        """Return whether a chunk carries content; called up to the first chunk that does."""

    def end(self) -> list[Chunk]:
        """Handle the end of the bytes; return the chunks that only the end completes.

        Raises:
            StreamInterrupted: The terminator had not arrived.
        """


@runtime_checkable
class StreamStep(Protocol):
    """A plugin's step in one stream, for one consumer. It is not an iterator and does not have to be closed.

    Since: 0.1.
    """

    def feed(self, chunk: Chunk) -> Sequence[Chunk] | None:
        """Return None to leave a chunk unchanged, or the chunks that replace it; ``()`` drops it."""

    def end(self, reason: str) -> Sequence[Chunk] | None:
        """Return final chunks after a stream that ended well; later steps get them, too. ``reason``: finish reason."""
