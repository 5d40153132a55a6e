"""OpenAI's chat completions, completions, embeddings and models.

Embeddings are sent in the requested encoding, whichever the server used. The official SDK requests ``base64``
(little-endian 32-bit floats) by default, but many servers send lists of numbers anyway.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Any

import msgspec

from localagent import ChatRequest, CompletionRequest, EmbedRequest, ModelInfo, Principal, Request
from localagent.errors import ModelNotFound
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent.records import check_model_name
from localagent.timing import in_thread
from localagent_gateway.apis.anthropic.api import model_page, model_row
from localagent_gateway.apis.error_shapes import asked_by_anthropic
from localagent_gateway.apis.fields import Document
from localagent_gateway.apis.openai.responses import ResponsesApi
from localagent_gateway.apis.openai.sse import EventWriter
from localagent_gateway.apis.openapi import EVENTS, operation
from localagent_gateway.apis.service import Service
from localagent_gateway.errors import wrong
from localagent_gateway.logs.addresses import redact_address

_encode = msgspec.json.Encoder().encode
LARGE = 100_000  # bytes; decoding this many digits takes about a millisecond

_FIRST = re.compile(rb'"embedding"\s*:\s*(["\[])')
_BEGINS = {"float": b"[", "base64": b'"'}


class OpenAIApi:
    """The handlers.

    Args:
        service: Sends requests into the pipeline.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._started = int(service.wall_time())

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("POST", "/v1/chat/completions", self.chat,
                  describe=operation("Answer a chat.", "ChatRequest", "Answer", EVENTS)),
            Route("POST", "/v1/completions", self.complete,
                  describe=operation("Continue a text.", "CompletionRequest", "Answer", EVENTS)),
            Route("POST", "/v1/embeddings", self.embed, describe=operation("Embed texts.", "EmbeddingRequest")),
            *ResponsesApi(self._service).routes(),
            Route("GET", "/v1/models", self.models, describe=operation("List the models.", "", "ModelList")),
            Route("GET", "/v1/models/{id}", self.model, describe=operation("Describe a model.", "", "Model")),
        ]  # fmt: skip

    async def chat(self, incoming: HttpRequest, principal: Principal) -> HttpResponse | HttpStream:
        """Answer a chat, streamed or whole."""
        return await self._generate(ChatRequest, await self._service.document(incoming), incoming, principal)

    async def complete(self, incoming: HttpRequest, principal: Principal) -> HttpResponse | HttpStream:
        """Continue a text, streamed or whole."""
        document = await self._service.document(incoming)
        if not document.get("prompt_embeds"):  # vLLM accepts it instead
            _check_texts(document, "prompt")
        return await self._generate(CompletionRequest, document, incoming, principal)

    async def _generate(
        self, kind: type[Request], document: Document, incoming: HttpRequest, principal: Principal
    ) -> HttpResponse | HttpStream:
        service = self._service
        streamed = document.pop("stream", None)
        request = kind(document)
        request.check()
        if streamed:
            asked = (document.get("stream_options") or {}).get("include_usage")
            return await service.stream(request, incoming, principal, EventWriter(with_usage=bool(asked)))
        response = await service.answer(request, incoming, principal)
        return service.respond(response, response.raw)

    async def embed(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Return embeddings."""
        document = await self._service.document(incoming)
        _check_texts(document, "input")
        response = await self._service.answer(EmbedRequest(document), incoming, principal)
        return self._service.respond(response, await _in_encoding(response.raw, document.get("encoding_format")))

    async def models(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """List the models that the caller may use, in Anthropic's format for its clients, else in OpenAI's."""
        models = await self._service.models(principal)
        if asked_by_anthropic(incoming.headers):
            return HttpResponse(200, _encode(model_page([shown(model) for model in models], incoming.query)))
        rows = [self._row(model) for model in models]
        return HttpResponse(200, _encode({"object": "list", "data": rows}))

    async def model(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Describe one model."""
        wanted = incoming.params["id"]
        check_model_name(wanted)
        for model in await self._service.models(principal):
            if shown(model) == wanted:
                row = model_row(wanted) if asked_by_anthropic(incoming.headers) else self._row(model)
                return HttpResponse(200, _encode(row))
        raise ModelNotFound(f"The model {redact_address(wanted)} does not exist.")

    def _row(self, model: ModelInfo) -> dict[str, object]:
        row: dict[str, object] = {"id": shown(model), "object": "model", "created": self._started,
                                  "owned_by": model.owner or model.provider}  # fmt: skip
        if model.context_length is not None:
            row["context_length"] = model.context_length
        return row


def _check_texts(document: Document, name: str) -> None:
    """Refuse a field that no server could read: it must be text, tokens, or a list of one of them.

    Raises:
        WrongField: It is missing, empty, or has another type.
    """
    value = document.get(name)
    if type(value) is str and (value or name == "prompt"):  # empty text may be continued, but not embedded
        return
    if not value:
        raise wrong(f"The field {name} is missing or empty.", name)
    kinds = _types(value) if isinstance(value, list) else set()
    if kinds not in ({str}, {int}, {list}) or (kinds == {list} and not all(_types(each) == {int} for each in value)):
        raise wrong(f"The field {name} must be text, tokens, or a list of one of them.", name)


def _types(values: list[Any]) -> set[type]:
    return set(map(type, values))


async def _in_encoding(raw: bytes, wanted: Any) -> bytes:
    wanted = wanted or "float"
    if not differs(raw, wanted):
        return raw
    return converted(raw, wanted) if len(raw) < LARGE else await in_thread(converted, raw, wanted)


def shown(model: ModelInfo) -> str:
    """Return the name of a model for clients: an alias, or ``provider/name``."""
    return model.name if model.provider else model.id


def differs(raw: bytes, wanted: Any) -> bool:
    """Return whether vectors have an encoding other than the wanted one, without decoding them.

    Args:
        raw: The answer.
        wanted: ``float`` or ``base64``; other encodings are not converted.
    """
    begins = _BEGINS.get(wanted) if isinstance(wanted, str) else None
    found = _FIRST.search(raw) if begins else None
    return found is not None and found[1] != begins


def converted(raw: bytes, wanted: str) -> bytes:
    """Return the answer with its vectors in the wanted encoding; invalid vectors are not changed."""
    document = msgspec.json.decode(raw)
    for row in document["data"]:
        row["embedding"] = _packed(row["embedding"]) if wanted == "base64" else _unpacked(row["embedding"])
    return _encode(document)


def _packed(vector: Any) -> Any:
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (struct.error, OverflowError, TypeError):
        return vector


def _unpacked(text: Any) -> Any:
    try:
        data = base64.b64decode(text, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    except (struct.error, binascii.Error, ValueError, TypeError):
        return text
