"""OpenAI's Responses API, without the state that OpenAI keeps for it."""

from __future__ import annotations

from typing import Any

from localagent import ChatRequest, Principal
from localagent.plugin_api import FrontAnswer, FrontRequest, FrontStream, Route
from localagent_gateway.apis.openai.responses_answer import Opening
from localagent_gateway.apis.openai.responses_request import chat_request
from localagent_gateway.apis.openai.responses_writer import ResponsesWriter, whole_answer
from localagent_gateway.apis.openapi import EVENTS, operation
from localagent_gateway.apis.service import Service
from localagent_gateway.errors import WrongField


class ResponsesApi:
    """The handler.

    Args:
        service: The way into the pipeline.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return what is served."""
        described = operation("Answer, without state.", "ResponsesRequest", "Answer", EVENTS)
        return [Route("POST", "/v1/responses", self.create, describe=described)]

    async def create(self, front: FrontRequest, principal: Principal) -> FrontAnswer | FrontStream:
        """Answer an input, streamed or whole; what was asked and answered is forgotten afterwards."""
        document = await self._service.document(front)
        self._check_length(document.get("input"))
        request = chat_request(document)
        opening = Opening(document, front.id.removeprefix("req-"), self._service.wall)
        if document.get("stream"):
            return await self._stream(request, opening, front, principal)
        response = await self._service.answer(request, front, principal)
        opening.model = response.model
        return self._service.told(response, whole_answer(opening, response))

    async def _stream(
        self, request: ChatRequest, opening: Opening, front: FrontRequest, principal: Principal
    ) -> FrontStream:
        """Stream; the last event tells the usage, so it is asked of the server."""
        asking = request.replace(stream_options={"include_usage": True})
        stream = await self._service.stream(asking, front, principal, ResponsesWriter(opening))
        opening.model = stream.headers["x-localagent-model"]
        return stream

    def _check_length(self, items: Any) -> None:
        most = self._service.settings.max_messages
        if isinstance(items, list) and len(items) > most:
            raise WrongField(f"The input has more than {most} items.", param="input")
