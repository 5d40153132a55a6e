"""A provider whose answers a test defines: for everything around the exchange (choice, limits, retries, caches).

::

    fake = fake_provider_plugin({"a": Reply("hello", after=0.2), "b": [Overloaded("busy"), Reply("at last")]})
    async with Client({}, plugins=[fake, MyPlugin]) as client:
        response = await client.chat("Hello.")
        assert [asked.instance for asked in fake.asked] == ["b", "a"]

No socket is opened. Waiting uses the loop's clock, so that on a ``VirtualClockLoop`` it takes no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import attrs
import msgspec

from localagent import (
    Attempt,
    ChatResponse,
    CompletionResponse,
    Decoder,
    EmbedResponse,
    HttpAnswer,
    Instance,
    ModelInfo,
    NoSettings,
    Plugin,
    ProviderSetup,
    ProviderType,
    Transport,
    Usage,
    hookimpl,
)
from localagent.errors import UpstreamServerError
from localagent.http_answers import OpenAIDecoder, chat_response, completion_response, embed_response
from localagent.timing import PhaseTimer
from localagent_testing.http_bytes import sse

__all__ = ["Asked", "FakeProvider", "FakeProviderPlugin", "Piece", "Replies", "Reply", "fake_provider_plugin"]

DONE = sse(["[DONE]"])

#: A piece of a stream: text is an event, a number is a pause in seconds, bytes are sent unchanged, an error is raised.
Piece: TypeAlias = str | float | bytes | Exception


@attrs.frozen
class Reply:
    """One answer.

    Attributes:
        text: The text; a stream sends it in one event unless ``pieces`` are given.
        after: Seconds before the answer, or before the first event of a stream.
        error: Raised instead of the answer.
        pieces: The pieces that a stream sends, instead of ``text``.
        ends: Whether a stream ends with its terminator; otherwise the connection just ends.
        finish: The finish reason.
        usage: Tokens; None if the server does not report them.
        more: Further fields of the document.
    """

    text: str = "ok"
    after: float = 0.0
    error: BaseException | None = None
    pieces: tuple[Piece, ...] = ()
    ends: bool = True
    finish: str = "stop"
    usage: Usage | None = Usage(3, 2, 5)
    more: Mapping[str, Any] = attrs.field(factory=dict)


#: The answers of an instance: always the same, a sequence (the last one is repeated), or a function.
Replies: TypeAlias = Reply | Exception | Sequence[Reply | Exception] | Callable[[Attempt], Reply | Exception]


@attrs.define(eq=False)
class Asked:
    """One request to an instance.

    Attributes:
        instance: The instance's id.
        attempt: The attempt.
        ended: How it ended, as the server saw it; ``cancelled`` also when a stream was aborted.
    """

    instance: str
    attempt: Attempt
    ended: Literal["open", "answered", "failed", "cancelled"] = "open"


class FakeProvider:
    """A provider with scripted answers; see ``localagent.plugin_api.providers.Provider``.

    Args:
        setup: The settings and services that the core passes.
        replies: The answers of each instance, by its id.
        models: The models of every instance; the first is the default model.
        asked: The list to which the provider adds its requests.
    """

    def __init__(
        self, setup: ProviderSetup, replies: Mapping[str, Replies], models: Sequence[str], asked: list[Asked]
    ) -> None:
        self.instances: Sequence[Instance] = tuple(
            Instance(id, setup.name, setup.type, f"http://{id}.invalid", pool=setup.common.pool) for id in replies
        )
        self.default_model: str | None = models[0] if models else None
        self.closed = False
        self._replies = {id: _chooser(said) for id, said in replies.items()}
        self._models = models
        self._asked = asked

    async def open(self) -> None:
        """Do nothing; there is nothing to open."""

    async def aclose(self) -> None:
        """Record that the provider was closed."""
        self.closed = True

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        """Answer a chat."""
        reply = await self._whole(attempt)
        message = {"role": "assistant", "content": reply.text}
        return chat_response(_document(reply, message=message), attempt)

    async def complete(self, attempt: Attempt, transport: Transport) -> CompletionResponse:
        """Answer a completion."""
        reply = await self._whole(attempt)
        return completion_response(_document(reply, text=reply.text), attempt)

    async def embed(self, attempt: Attempt, transport: Transport) -> EmbedResponse:
        """Answer every input with a vector of its length."""
        reply = await self._whole(attempt)
        inputs = attempt.request.get("input")
        rows = inputs if isinstance(inputs, list) else [inputs]
        data = [{"index": index, "embedding": [float(len(str(row)))]} for index, row in enumerate(rows)]
        return embed_response(msgspec.json.encode({"data": data, "usage": _usage(reply), **reply.more}), attempt)

    async def stream(self, attempt: Attempt, transport: Transport) -> tuple[HttpAnswer, Decoder]:
        """Answer a chat or completion event by event."""
        asked, reply = self._ask(attempt)
        if reply.error is not None:
            await self._pause(attempt, reply.after, asked)
            asked.ended = "failed"
            raise reply.error
        attempt.phases.enter("first_token")
        counted = bool((attempt.request.get("stream_options") or {}).get("include_usage"))
        return _Stream(reply, asked), OpenAIDecoder(attempt, with_usage=counted)

    async def list_models(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> Sequence[ModelInfo]:
        """List the models."""
        return [ModelInfo(name, provider=instance.provider, instance=instance.id) for name in self._models]

    async def check(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
        """Do nothing; the instance is healthy."""

    def _ask(self, attempt: Attempt) -> tuple[Asked, Reply]:
        asked = Asked(attempt.target.instance.id, attempt)
        self._asked.append(asked)
        said = self._replies[asked.instance](attempt)
        return asked, said if isinstance(said, Reply) else Reply(error=said)

    async def _whole(self, attempt: Attempt) -> Reply:
        asked, reply = self._ask(attempt)
        await self._pause(attempt, reply.after, asked)
        if reply.error is not None:
            asked.ended = "failed"
            raise reply.error
        asked.ended = "answered"
        return reply

    async def _pause(self, attempt: Attempt, seconds: float, asked: Asked) -> None:
        attempt.phases.enter("first_token")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            asked.ended = "cancelled"
            raise


class FakeProviderPlugin(Plugin):
    """Brings the provider type of ``fake_provider_plugin``; the provider does not have to be configured.

    Attributes:
        asked: The requests to its instances, in order.
        replies: The answers of each instance, by its id.
        models: The models of every instance.
        made: The providers of this type that were created.
    """

    asked: ClassVar[list[Asked]]
    replies: ClassVar[Mapping[str, Replies]]
    models: ClassVar[Sequence[str]]
    made: ClassVar[list[FakeProvider]]

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        """Return the type; its name is that of the plugin without ``provider-``."""
        name = self.name.removeprefix("provider-")
        return [ProviderType(name, NoSettings, self._make, default=lambda environment: {})]

    def _make(self, setup: ProviderSetup) -> FakeProvider:
        self.made.append(FakeProvider(setup, self.replies, self.models, self.asked))
        return self.made[-1]


def fake_provider_plugin(
    replies: Replies | Mapping[str, Replies] | None = None, *, name: str = "fake", models: Sequence[str] = ("m",)
) -> type[FakeProviderPlugin]:
    """Return the class of a plugin that brings a scripted provider, to be passed to ``Client(plugins=[...])``.

    Args:
        replies: The answers of each instance, by its id; anything else is the answer of the only instance, ``one``.
            None means the answer ``ok``.
        name: The name of provider and provider type; the plugin is called ``provider-NAME``.
        models: The models of every instance; the first is the default model.
    """
    by_instance = replies if isinstance(replies, Mapping) else {"one": Reply() if replies is None else replies}
    fields: dict[str, Any] = {
        "name": f"provider-{name}", "replies": by_instance, "models": models, "asked": [], "made": [],
    }  # fmt: skip
    return type("FakeProviderPlugin", (FakeProviderPlugin,), fields)


def _chooser(said: Replies) -> Callable[[Attempt], Reply | Exception]:
    if callable(said):
        return said
    if isinstance(said, Reply | Exception):
        return lambda attempt: said
    left = list(said)
    return lambda attempt: left.pop(0) if len(left) > 1 else left[0]


def _document(reply: Reply, **choice: Any) -> bytes:
    choices = [{"index": 0, **choice, "finish_reason": reply.finish}]
    return msgspec.json.encode({"id": "fake-1", "choices": choices, "usage": _usage(reply), **reply.more})


def _usage(reply: Reply) -> dict[str, int] | None:
    usage = reply.usage
    if usage is None:
        return None
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: getattr(usage, name) for name in counts}


def _event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse([{"id": "fake-1", "object": "chat.completion.chunk", "choices": [choice], **more}])


class _Stream:
    """The answer to a stream request; each part is one piece."""

    status = 200
    headers: Mapping[str, str] = {"Content-Type": "text/event-stream"}

    def __init__(self, reply: Reply, asked: Asked) -> None:
        pieces: tuple[Piece, ...] = reply.pieces or (reply.text,)
        last = (_event({}, reply.finish, usage=_usage(reply), **reply.more), DONE) if reply.ends else ()
        self._pieces: Iterator[Piece] = iter((reply.after, *pieces, *last))
        self._asked = asked
        self._sleep: asyncio.Future[None] | None = None
        self._gone = False
        self.ended = False

    async def read_chunk(self) -> bytes:
        for piece in self._pieces:
            if isinstance(piece, float | int):
                await self._wait(piece)
            elif isinstance(piece, Exception):
                self._end("failed")
                raise piece
            else:
                if piece is DONE:
                    self._end("answered")
                return piece if isinstance(piece, bytes) else _event({"content": piece})
        if self._gone:
            raise UpstreamServerError("The connection was closed.", phase="read")
        self._end("answered")
        self.ended = True
        return b""

    async def _wait(self, seconds: float) -> None:
        """Wait, or until the stream is aborted from elsewhere."""
        if seconds:
            loop = asyncio.get_running_loop()
            self._sleep = loop.create_future()
            alarm = loop.call_later(seconds, self._wake)
            try:
                await self._sleep
            finally:
                alarm.cancel()

    def _wake(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    def _end(self, how: Literal["answered", "failed", "cancelled"]) -> None:
        if self._asked.ended == "open":
            self._asked.ended = how

    async def read(self, cap: int | None = None) -> bytes:
        body = b""
        while part := await self.read_chunk():
            body += part
        return body

    def abort(self) -> None:
        self._gone = True
        self._pieces = iter(())
        self._end("cancelled")
        self._wake()

    async def aclose(self) -> None:
        if not self.ended:
            self.abort()
