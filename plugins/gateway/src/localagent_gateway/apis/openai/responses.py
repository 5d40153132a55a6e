"""OpenAI's Responses API without the state that OpenAI keeps for it; its requests become chat requests.

Fields of both APIs, and unknown fields, are passed on unchanged. Fields of the Responses API only are translated, or
refused if chats do not support them or the gateway would have to keep state.
"""

from __future__ import annotations

from typing import Any

from localagent import ChatRequest, Principal
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.apis.fields import (
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Document,
    Table,
    each,
    elsewhere,
    named,
    needed,
    refused,
    same,
    to,
    within,
)
from localagent_gateway.apis.openai.responses_input import messages_of
from localagent_gateway.apis.openai.responses_writer import Opening, ResponsesWriter, whole_answer
from localagent_gateway.apis.openapi import EVENTS, operation
from localagent_gateway.apis.request_checks import drop_idle_choice
from localagent_gateway.apis.service import Service
from localagent_gateway.errors import WrongField, unsupported, wrong

_LOGPROBS = 20  # the most tokens with log probabilities at each position


class ResponsesApi:
    """The handler.

    Args:
        service: Sends requests into the pipeline.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return the routes."""
        described = operation("Answer a request without stored state.", "ResponsesRequest", "Answer", EVENTS)
        return [Route("POST", "/v1/responses", self.create, describe=described)]

    async def create(self, incoming: HttpRequest, principal: Principal) -> HttpResponse | HttpStream:
        """Answer an input, streamed or whole; the gateway stores neither input nor answer."""
        document = await self._service.document(incoming)
        self._check_length(document.get("input"))
        request = chat_request(document)
        opening = Opening(document, incoming.id.removeprefix("req-"), self._service.wall_time)
        if document.get("stream"):
            return await self._stream(request, opening, incoming, principal)
        response = await self._service.answer(request, incoming, principal)
        opening.model = response.model
        return self._service.respond(response, whole_answer(opening, response))

    async def _stream(
        self, request: ChatRequest, opening: Opening, incoming: HttpRequest, principal: Principal
    ) -> HttpStream:
        """Answer with a stream; its last event has the usage, which is requested from the server."""
        asking = request.replace(stream_options={"include_usage": True})
        stream = await self._service.stream(asking, incoming, principal, ResponsesWriter(opening))
        opening.model = stream.headers["x-localagent-model"]
        return stream

    def _check_length(self, items: Any) -> None:
        most = self._service.settings.max_messages
        if isinstance(items, list) and len(items) > most:
            raise WrongField(f"The input has more than {most} items.", param="input")


def chat_request(document: Document) -> ChatRequest:
    """Return the chat request for a Responses request.

    Args:
        document: The decoded body; it is not changed.

    Raises:
        InvalidRequest: A field is wrong, needs state that the gateway does not keep, or is not supported by chats.
    """
    chat = REQUEST.read(document)
    drop_idle_choice(chat)
    instructions = document.get("instructions")
    said = [{"role": "system", "content": instructions}] if instructions else []
    chat["messages"] = said + messages_of(document.get("input"))
    request = ChatRequest(chat)
    request.check()
    return request


def _metadata(document: Document, where: str, value: Any) -> None:
    for name, text in OBJECT(value, where).items():
        TEXT(text, f"{where}.{name[:64]}")


def _top_logprobs(document: Document, where: str, value: Any) -> None:
    if not 0 <= WHOLE(value, where) <= _LOGPROBS:
        raise wrong(f"The field {where} must be a number from 0 to {_LOGPROBS}.", where)
    if value:  # a chat has log probabilities only on request
        document |= {"logprobs": True, "top_logprobs": value}


def _include(document: Document, where: str, value: Any) -> None:
    # Encrypted reasoning replaces state on the server. Chats have no such reasoning, so there is nothing to include.
    for place, one in each(value, where):
        if one != "reasoning.encrypted_content":
            raise unsupported(f"the value {named(one)} of the field {place}", param=where)


def _truncation(document: Document, where: str, value: Any) -> None:
    if value != "disabled":
        raise unsupported(f"the value {named(value)} of the field {where}", param=where)


def _format(document: Document, where: str, value: Any) -> None:
    kind = needed(OBJECT(value, where), "type", TEXT, where)
    if kind == "json_schema":
        document["response_format"] = {"type": kind, "json_schema": _FORMAT.read(value, where)}
        needed(value, "name", TEXT, where)
        needed(value, "schema", OBJECT, where)
    elif kind == "json_object":
        document["response_format"] = {"type": kind}
    elif kind != "text":
        raise unsupported(f"the value {named(kind)} of the field {where}.type", param=f"{where}.type")


def _tools(document: Document, where: str, value: Any) -> None:
    document["tools"] = [_function(tool, place) for place, tool in each(value, where)]


def _function(tool: Any, where: str) -> Document:
    kind = OBJECT(tool, where).get("type")
    if kind != "function":
        raise unsupported(f"{where}, a tool of type {named(kind)}", "Use only function tools.", param="tools")
    needed(tool, "name", TEXT, where)
    return {"type": "function", "function": _FUNCTION.read(tool, where)}


def _tool_choice(document: Document, where: str, value: Any) -> None:
    if value in ("auto", "none", "required"):
        document["tool_choice"] = value
    elif isinstance(value, dict) and value.get("type") == "function":
        document["tool_choice"] = {"type": "function", "function": {"name": needed(value, "name", TEXT, where)}}
    else:
        kind = value.get("type") if isinstance(value, dict) else value
        raise unsupported(f"the value {named(kind)} of the field {where}", param=where)


_FORMAT = Table({**same(TEXT, "name", "description"), **same(OBJECT, "schema"), **same(FLAG, "strict"),
                 **elsewhere(None, "type")})  # fmt: skip
_FUNCTION = Table({**same(TEXT, "name", "description"), **same(OBJECT, "parameters"), **same(FLAG, "strict"),
                   **elsewhere(None, "type")})  # fmt: skip
_REASONING = Table({"effort": to("reasoning_effort", TEXT), **elsewhere(TEXT, "summary", "generate_summary")})
_TEXT = Table({**same(TEXT, "verbosity"), "format": _format})
_CONVERSATION = refused("Send the whole conversation as input: the gateway keeps no state.")
REQUEST = Table(
    {
        **same(TEXT, "model", "user", "service_tier", "safety_identifier", "prompt_cache_key"),
        **same(NUMBER, "temperature", "top_p"),
        **same(FLAG, "parallel_tool_calls"),
        "max_output_tokens": to("max_completion_tokens", WHOLE),
        "top_logprobs": _top_logprobs,
        "reasoning": within(_REASONING),
        "text": within(_TEXT),
        "tools": _tools,
        "tool_choice": _tool_choice,
        "truncation": _truncation,
        "include": _include,
        # Only repeated in the answer, or without meaning because the server runs no tools.
        "metadata": _metadata,
        **elsewhere(TEXT, "instructions"),
        **elsewhere(WHOLE, "max_tool_calls"),
        **elsewhere(None, "input", "stream", "stream_options"),
        "store": refused("Leave store out or set it to false: the gateway keeps no state."),
        "background": refused("Leave background out and wait for the answer: the gateway keeps no state."),
        "previous_response_id": _CONVERSATION,
        "conversation": _CONVERSATION,
        "prompt": refused("Send instructions and input instead of the id of a prompt: the gateway keeps no state."),
    },
    passes=True,
)
"""The fields of a request."""
