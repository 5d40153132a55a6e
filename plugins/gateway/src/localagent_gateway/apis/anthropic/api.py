"""Anthropic's messages, their token count, and the list of models in pages.

The pages follow https://docs.anthropic.com/en/api/models-list. OpenAI's API has the same path; its route serves both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from localagent import ChatRequest, Principal
from localagent.errors import InvalidRequest
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.apis.anthropic.answers import MessageWriter, Opening, whole_message
from localagent_gateway.apis.anthropic.requests import chat_request, counted_request
from localagent_gateway.apis.openapi import EVENTS, operation
from localagent_gateway.apis.service import Service
from localagent_gateway.errors import unsupported

_encode = msgspec.json.Encoder().encode
#: Anthropic's own value for an unknown release date.
_UNKNOWN = "1970-01-01T00:00:00Z"


class AnthropicApi:
    """The handlers.

    Args:
        service: Sends requests into the pipeline.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("POST", "/v1/messages", self.create,
                  describe=operation("Answer a chat (Anthropic's API).", "MessagesRequest", "Answer", EVENTS)),
            Route("POST", "/v1/messages/count_tokens", self.count_tokens,
                  describe=operation("Count the tokens of a chat.", "MessagesRequest")),
        ]  # fmt: skip

    async def create(self, incoming: HttpRequest, principal: Principal) -> HttpResponse | HttpStream:
        """Answer a conversation, streamed or whole."""
        body = await self._service.document(incoming)
        request = chat_request(body)
        opening = Opening(incoming.id.removeprefix("req-"), request.get("stop") or ())
        if body.get("stream"):
            return await self._stream(request, opening, incoming, principal)
        response = await self._service.answer(request, incoming, principal)
        opening.model = response.model
        answer = self._service.respond(response, _encode(whole_message(opening, response)))
        return msgspec.structs.replace(answer, headers={**answer.headers, "request-id": incoming.id})

    async def _stream(
        self, request: ChatRequest, opening: Opening, incoming: HttpRequest, principal: Principal
    ) -> HttpStream:
        stream = await self._service.stream(request, incoming, principal, MessageWriter(opening, incoming.id))
        opening.model = stream.headers["x-localagent-model"]
        return msgspec.structs.replace(stream, headers={**stream.headers, "request-id": incoming.id})

    async def count_tokens(self, incoming: HttpRequest, principal: Principal) -> HttpResponse:
        """Count the tokens of a conversation for a model; without a plugin that counts them, it is an error."""
        request = counted_request(await self._service.document(incoming))
        runtime = await self._service.client.runtime()
        target = runtime.fleet.names.targets(request.model, principal)[0]
        count = await runtime.fleet.tokens.of(request, target)
        if count is None:
            raise unsupported(f"counting tokens for {target.name} without a plugin",
                              "Install one whose name starts with localagent-tokenize.")  # fmt: skip
        return HttpResponse(200, _encode({"input_tokens": count}), {"request-id": incoming.id})


def model_row(name: str) -> dict[str, object]:
    """Return the object of one model."""
    return {"type": "model", "id": name, "display_name": name, "created_at": _UNKNOWN, "lifecycle": "active"}


def model_page(names: Sequence[str], query: Mapping[str, str]) -> dict[str, object]:
    """Return a page of models: all of them unless ``limit``, ``after_id`` or ``before_id`` is given.

    Args:
        names: The names of all models.
        query: The query's parameters.

    Raises:
        InvalidRequest: ``limit`` is not a positive number, or ``after_id`` or ``before_id`` is unknown.
    """
    start = _position(names, query, "after_id", -1) + 1
    stop = _position(names, query, "before_id", len(names))
    limit = _limit(query, len(names))
    from_the_end = "before_id" in query and "after_id" not in query
    shown = list(names[start:stop])
    page = shown[-limit:] if from_the_end else shown[:limit]
    return {
        "data": [model_row(name) for name in page],
        "has_more": len(page) < len(shown),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _position(names: Sequence[str], query: Mapping[str, str], name: str, otherwise: int) -> int:
    wanted = query.get(name)
    if wanted is None:
        return otherwise
    if wanted not in names:
        raise InvalidRequest(f"{name} must be a model of the list.")
    return names.index(wanted)


def _limit(query: Mapping[str, str], otherwise: int) -> int:
    given = query.get("limit")
    if given is None:
        return max(otherwise, 1)
    if not (given.isascii() and given.isdigit() and 0 < len(given) < 10 and int(given)):
        raise InvalidRequest("limit must be a positive number.")
    return int(given)
