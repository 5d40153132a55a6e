"""Ollama's API: chats, texts, embeddings and the list of models."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import msgspec

from localagent import CachePolicy, ChatRequest, CompletionRequest, Principal, Request, Response
from localagent.errors import UpstreamProtocol
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.apis.fields import TEXT, needed
from localagent_gateway.apis.ollama.answers import (
    Embeddings,
    Line,
    LineWriter,
    Message,
    Vectors,
    durations,
    timestamp,
    whole_line,
)
from localagent_gateway.apis.ollama.listing import Listing
from localagent_gateway.apis.ollama.requests import (
    chat_request,
    embed_one_request,
    embed_request,
    generate_request,
    load_request,
    only_loads,
)
from localagent_gateway.apis.openai.api import shown
from localagent_gateway.apis.openapi import LINES, PLAIN, operation
from localagent_gateway.apis.service import Service
from localagent_gateway.errors import wrong

#: The version of Ollama with this API: clients compare it with the version of the features that they need. This one
#: added log probabilities (https://github.com/ollama/ollama/releases/tag/v0.12.11).
VERSION = "0.12.11"

_NOT_CACHED = CachePolicy(lookup=False, store=False)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Vectors).decode


class OllamaApi:
    """The handlers.

    Args:
        service: Sends requests into the pipeline.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._listing = Listing(service, timestamp(service.wall_time()))

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("GET", "/", self.root, open=True,
                  describe=operation("Report that Ollama's API is available.", "", "", PLAIN)),
            Route("POST", "/api/chat", self.chat,
                  describe=operation("Answer a chat (Ollama's API).", "OllamaChatRequest", "Answer", LINES)),
            Route("POST", "/api/generate", self.generate,
                  describe=operation("Continue or answer a text.", "OllamaGenerateRequest", "Answer", LINES)),
            Route("POST", "/api/embed", self.embed, describe=operation("Embed texts.", "OllamaEmbedRequest")),
            Route("POST", "/api/embeddings", self.embed_one,
                  describe=operation("Embed a text.", "OllamaEmbeddingsRequest")),
            Route("POST", "/api/show", self.show, describe=operation("Describe a model.", "OllamaShowRequest")),
            Route("GET", "/api/tags", self.tags, describe=operation("List the models.", "", "OllamaModelList")),
            Route("GET", "/api/ps", self.running,
                  describe=operation("List the models in memory.", "", "OllamaModelList")),
            Route("GET", "/api/version", self.version,
                  describe=operation("Return the version of Ollama's API.", "", "OllamaVersion")),
        ]  # fmt: skip

    async def root(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Return the text that clients look for before other requests."""
        return HttpResponse(200, b"Ollama is running", content_type="text/plain; charset=utf-8")

    async def chat(self, incoming: HttpRequest, principal: Principal) -> HttpResponse | HttpStream:
        """Answer a chat, streamed unless ``stream`` is false."""
        started = perf_counter_ns()
        body = await self._body(incoming, principal)
        if over := only_loads(body, "messages"):
            return await self._loaded(body, incoming, principal, over, Message(content=""))
        streamed = _streamed(body)
        return await self._answer(chat_request(body, streamed=streamed), incoming, principal, streamed, started)

    async def generate(self, incoming: HttpRequest, principal: Principal) -> HttpResponse | HttpStream:
        """Continue or answer a text, streamed unless ``stream`` is false."""
        started = perf_counter_ns()
        body = await self._body(incoming, principal)
        if over := only_loads(body, "prompt", "images", "suffix"):
            return await self._loaded(body, incoming, principal, over)
        streamed = _streamed(body)
        return await self._answer(
            generate_request(body, streamed=streamed), incoming, principal, streamed, started, chat=False
        )

    async def embed(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Return the embeddings of texts."""
        started = perf_counter_ns()
        body = await self._body(incoming, principal)
        request = embed_request(body)
        if only_loads(body, "input"):
            model = await self._load(request.replace(input=[]), incoming, principal)
            nothing = Embeddings(model=model, embeddings=[], total_duration=perf_counter_ns() - started)
            return HttpResponse(200, _encode(nothing))
        response = await self._service.answer(request, incoming, principal)
        return self._service.respond(response, embeddings(response, perf_counter_ns() - started))

    async def embed_one(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Return the embedding of one text, in the older API."""
        body = await self._body(incoming, principal)
        request = embed_one_request(body)
        if only_loads(body, "prompt"):
            await self._load(request.replace(input=[]), incoming, principal)
            return HttpResponse(200, b'{"embedding":[]}')
        response = await self._service.answer(request, incoming, principal)
        return self._service.respond(response, only_embedding(response))

    async def show(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Describe one model."""
        body = await self._service.document(incoming)
        asked = body.get("model") or body.get("name")  # the latter is the older name
        if not isinstance(asked, str):
            raise wrong("The field model is missing.")
        return HttpResponse(200, _encode(await self._listing.show(asked, principal)))

    async def tags(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """List the models that the caller may use."""
        return HttpResponse(200, _encode(await self._listing.tags(principal)))

    async def running(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """List the models that an instance has loaded."""
        return HttpResponse(200, _encode(await self._listing.loaded(principal)))

    async def version(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Return the version of Ollama with this API."""
        return HttpResponse(200, _encode({"version": VERSION}))

    async def _body(self, incoming: HttpRequest, principal: Principal) -> dict[str, Any]:
        """Return a request's body, with the model's name in the pipeline."""
        body = await self._service.document(incoming)
        if body.get("model"):
            body["model"] = await self._listing.name_of(body["model"], principal)
        return body

    async def _answer(
        self,
        request: ChatRequest | CompletionRequest,
        incoming: HttpRequest,
        principal: Principal,
        streamed: bool,
        started: int,
        *,
        chat: bool = True,
    ) -> HttpResponse | HttpStream:
        service = self._service
        if streamed:
            writer = LineWriter(chat=chat, wall_time=service.wall_time, started=started)
            stream = await service.stream(request, incoming, principal, writer)
            writer.begin(stream.headers["x-localagent-model"])
            return stream
        response = await service.answer(request, incoming, principal)
        spent = perf_counter_ns() - started
        line = whole_line(response, chat=chat, created=timestamp(service.wall_time()), nanoseconds=spent)
        return service.respond(response, _encode(line))

    async def _loaded(
        self,
        body: dict[str, Any],
        incoming: HttpRequest,
        principal: Principal,
        over: str,
        message: Message | None = None,
    ) -> HttpResponse:
        """Answer a request without content after loading or unloading the model."""
        line = Line(
            model=await self._load(load_request(body), incoming, principal),
            created_at=timestamp(self._service.wall_time()),
            message=message,
            response="" if message is None else None,
            done=True,
            done_reason=over,
        )
        kind = LineWriter.content_type if _streamed(body) else "application/json"
        return HttpResponse(200, _encode(line) + b"\n", content_type=kind)

    async def _load(self, request: Request, incoming: HttpRequest, principal: Principal) -> str:
        """Send a request without content to the model's server if the server reports its loaded models.

        Other servers have no such request: they load a model when it is used. An alias may have several targets.

        Returns:
            The model's name.

        Raises:
            ModelNotFound: The model does not exist.
            LocalAgentError: The server did not load it.
        """
        model = await self._listing.find(needed(request.document, "model", TEXT), principal)
        if model.provider and "loaded" in model.facts:
            await self._service.answer(request, incoming, principal, _NOT_CACHED)
        return shown(model)


def _streamed(body: dict[str, Any]) -> bool:
    """Return whether the client wants a stream, which is Ollama's default."""
    return body.get("stream") is not False


def embeddings(response: Response, nanoseconds: int) -> bytes:
    """Return the answer of ``/api/embed``.

    Args:
        response: The answer of the pipeline.
        nanoseconds: Its duration.

    Raises:
        UpstreamProtocol: The answer does not contain a list of vectors.
    """
    return _encode(
        Embeddings(
            model=response.model,
            embeddings=_vectors(response),
            total_duration=nanoseconds,
            load_duration=durations(response.facts).get("load_duration"),
            prompt_eval_count=response.usage.prompt_tokens if response.usage is not None else None,
        )
    )


def only_embedding(response: Response) -> bytes:
    """Return the answer of ``/api/embeddings``: one vector; errors as in ``embeddings``."""
    return _encode({"embedding": _vectors(response)[0]})


def _vectors(response: Response) -> list[msgspec.Raw]:
    """Return the vectors in the order of the inputs."""
    try:
        rows = _decode(response.raw).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        rows = []
    vectors = [row.embedding for row in sorted(rows, key=lambda row: row.index)]
    if not vectors or not all(bytes(vector).startswith(b"[") for vector in vectors):
        raise UpstreamProtocol("The server's answer does not contain a list of embeddings.")
    return vectors
