"""Anthropic's messages, and the count of their tokens."""

from __future__ import annotations

import msgspec

from localagent import ChatRequest, Principal
from localagent.plugin_api import FrontAnswer, FrontRequest, FrontStream, Route
from localagent_gateway.apis.anthropic.answers import MessageWriter, Opening, whole_message
from localagent_gateway.apis.anthropic.requests import chat_request, counted_request
from localagent_gateway.apis.openapi import EVENTS, operation
from localagent_gateway.apis.service import Service
from localagent_gateway.errors import unsupported

_encode = msgspec.json.Encoder().encode


class AnthropicApi:
    """The handlers.

    The list of models, whose path OpenAI's API has too, is told there in the dialect of whoever asks.

    Args:
        service: The way into the pipeline.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return what is served."""
        return [
            Route("POST", "/v1/messages", self.create,
                  describe=operation("Answer a chat of Anthropic's.", "MessagesRequest", "Answer", EVENTS)),
            Route("POST", "/v1/messages/count_tokens", self.count_tokens,
                  describe=operation("Count the tokens of a chat.", "MessagesRequest")),
        ]  # fmt: skip

    async def create(self, front: FrontRequest, principal: Principal) -> FrontAnswer | FrontStream:
        """Answer a conversation, streamed or whole."""
        body = await self._service.document(front)
        request = chat_request(body)
        opening = Opening(front.id.removeprefix("req-"), request.get("stop") or ())
        if body.get("stream"):
            return await self._stream(request, opening, front, principal)
        response = await self._service.answer(request, front, principal)
        opening.model = response.model
        told = self._service.told(response, _encode(whole_message(opening, response)))
        return msgspec.structs.replace(told, headers={**told.headers, "request-id": front.id})

    async def _stream(
        self, request: ChatRequest, opening: Opening, front: FrontRequest, principal: Principal
    ) -> FrontStream:
        stream = await self._service.stream(request, front, principal, MessageWriter(opening, front.id))
        opening.model = stream.headers["x-localagent-model"]
        return msgspec.structs.replace(stream, headers={**stream.headers, "request-id": front.id})

    async def count_tokens(self, front: FrontRequest, principal: Principal) -> FrontAnswer:
        """Count the tokens of a conversation for a model; nothing is guessed when nobody counts for it."""
        request = counted_request(await self._service.document(front))
        runtime = await self._service.client.runtime()
        target = runtime.fleet.names.targets(request.model, principal)[0]
        count = await runtime.fleet.tokens.of(request, target)
        if count is None:
            raise unsupported(f"how many tokens this has: no installed plugin counts them for {target.name}",
                              "Install one whose name begins with localagent-tokenize.")  # fmt: skip
        return FrontAnswer(200, _encode({"input_tokens": count}), {"request-id": front.id})
