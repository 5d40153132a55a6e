"""``/openapi.json``: an OpenAPI 3.1 document of the gateway, built from its routes.

It describes the request fields that the gateway itself reads or refuses. OpenAI's other fields are passed on unchanged,
so they are allowed; Anthropic's and Ollama's fields are translated one by one, by tables, so others are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import msgspec

from localagent import Principal
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent_gateway.apis.anthropic import requests as anthropic
from localagent_gateway.apis.bodies import DENIED
from localagent_gateway.apis.dispatch import Routes
from localagent_gateway.apis.error_shapes import ErrorShape, anthropic_error, ollama_error, openai_error, shape_of
from localagent_gateway.apis.fields import Table
from localagent_gateway.apis.ollama import requests as ollama

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": ["boolean", "null"]}
WHOLE: Schema = {"type": ["integer", "null"], "minimum": 1}
OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": OBJECT}
MODEL: Schema = {**TEXT, "description": "An alias or provider/name; without it the default model answers."}
MESSAGES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role"],
        "properties": {"role": {"type": "string"}, "content": {"type": ["string", "array", "null"]}},
    },
}
NUMBERS = {
    "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
    "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
}
COMMON: dict[str, Schema] = {"model": MODEL, "stream": FLAG, **NUMBERS}
STREAM_OPTIONS: Schema = {"type": ["object", "null"], "properties": {"include_usage": FLAG}}
TOKENS: Schema = {"type": "array", "minItems": 1, "items": {"type": "integer"}}
TEXTS: Schema = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "minItems": 1, "items": {"type": "string"}},
        TOKENS,
        {"type": "array", "minItems": 1, "items": TOKENS},
    ]
}
_OLLAMA: dict[str, Schema] = {
    "model": TEXT,
    "messages": MESSAGES,
    "prompt": TEXT,
    "system": TEXT,
    "suffix": TEXT,
    "input": {"type": ["string", "array", "null"], "items": {"type": "string"}},
    "images": {"type": ["array", "null"], "items": {"type": "string", "contentEncoding": "base64"}},
    "stream": {**FLAG, "description": "Answers are streamed unless this is false."},
    "raw": FLAG,
    "options": {"type": ["object", "null"]},
    "format": {"anyOf": [{"enum": ["json", ""]}, {"type": ["object", "null"]}]},
    "think": {"enum": [True, False, "low", "medium", "high", "max", None]},
    "tools": {"type": ["array", "null"], "items": OBJECT},
}


_ANTHROPIC: dict[str, Schema] = {
    **COMMON,
    "messages": MESSAGES,
    "system": {"type": ["string", "array", "null"], "items": OBJECT},
    "max_tokens": WHOLE,
    "stop_sequences": {"type": ["array", "null"], "items": {"type": "string"}},
    "tools": OBJECTS,
}
PATH = "/openapi.json"
EVENTS, LINES, PLAIN, JSON = "text/event-stream", "application/x-ndjson", "text/plain", "application/json"
_ERRORS: Mapping[ErrorShape, str] = {
    openai_error: "OpenAIError",
    ollama_error: "OllamaError",
    anthropic_error: "AnthropicError",
}


def _open(*required: str, **properties: Schema) -> Schema:
    """Return the schema of a request that accepts unknown fields, except those that could choose its destination."""
    denied = {"not": {"enum": sorted(DENIED)}}
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "propertyNames": denied,
        "additionalProperties": True,
    }


def _closed(table: Table, known: Mapping[str, Schema], *required: str) -> Schema:
    """Return the schema of a request that accepts only the fields of its table."""
    properties = {name: known.get(name, {}) for name in sorted(table.rules)}
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def _answer(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


REQUESTS: dict[str, Schema] = {
    "ChatRequest": _open(
        "messages",
        **COMMON,
        messages=MESSAGES,
        stream_options=STREAM_OPTIONS,
        max_completion_tokens=WHOLE,
        max_tokens=WHOLE,
        n=WHOLE,
        seed={"type": ["integer", "null"]},
        stop={"type": ["string", "array", "null"], "items": {"type": "string"}},
        tools=OBJECTS,
        response_format={"type": ["object", "null"]},
    ),
    "CompletionRequest": _open(
        "prompt", **COMMON, prompt=TEXTS, stream_options=STREAM_OPTIONS, max_tokens=WHOLE, suffix=TEXT
    ),
    "EmbeddingRequest": _open("input", model=MODEL, input=TEXTS, encoding_format={"enum": ["float", "base64"]}),
    "ResponsesRequest": _open(
        "input",
        **COMMON,
        input={"type": ["string", "array"], "items": OBJECT},
        instructions=TEXT,
        max_output_tokens=WHOLE,
        tools=OBJECTS,
    ),
    "MessagesRequest": _closed(anthropic.REQUEST, _ANTHROPIC, "messages"),
    "OllamaChatRequest": _closed(ollama.CHAT, _OLLAMA),
    "OllamaGenerateRequest": _closed(ollama.GENERATE, _OLLAMA),
    "OllamaEmbedRequest": _closed(ollama.EMBED, _OLLAMA),
    "OllamaEmbeddingsRequest": _closed(ollama.EMBED_ONE, _OLLAMA),
    "OllamaShowRequest": _open("model", model={"type": "string"}),
}
_NAMED: Schema = _answer("id", "object", id={"type": "string"}, object={"const": "model"})
ANSWERS: dict[str, Schema] = {
    "Answer": OBJECT,
    "Status": _answer("status", status={"type": "string"}),
    "Model": _NAMED,
    "ModelList": _answer("data", data={"type": "array", "items": _NAMED}),
    "OllamaModelList": _answer("models", models=OBJECTS),
    "OllamaVersion": _answer("version", version={"type": "string"}),
    "OpenAIError": _answer(
        "error",
        error=_answer(
            "message", "type", "code", message={"type": "string"}, type={"type": "string"}, code={"type": "string"}
        ),
    ),
    "OllamaError": _answer("error", error={"type": "string"}),
    "AnthropicError": _answer("type", "error", type={"const": "error"}, error=_answer("type", "message")),
}


def operation(
    summary: str, request: str = "", answer: str = "Answer", *kinds: str, also: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return an operation object for ``Route.describe``.

    Args:
        summary: What the route does, in a sentence.
        request: The schema of the request's body; empty if it has no body.
        answer: The schema of a JSON answer; empty if the answer is never JSON.
        kinds: Further media types of an answer.
        also: Schemas of JSON answers with further statuses.
    """
    content: dict[str, Any] = {JSON: _schema(answer)} if answer else {}
    content |= {kind: {} for kind in kinds}  # OpenAPI 3.1 cannot describe the contents of streams
    responses: dict[str, Any] = {"200": {"description": "The answer.", **({"content": content} if content else {})}}
    for status, schema in (also or {}).items():
        responses[status] = {"description": "The answer.", "content": {JSON: _schema(schema)}}
    described: dict[str, Any] = {"summary": summary, "responses": responses}
    if request:
        described["requestBody"] = {"required": True, "content": {JSON: _schema(request)}}
    return described


def _schema(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def with_document(routes: Routes) -> Routes:
    """Return the routes with a further one for their document, which is built on the first request.

    Args:
        routes: All other routes.

    Raises:
        PluginError: A plugin has added this path.
    """
    body = b""

    async def describe(incoming: HttpRequest, principal: Principal) -> HttpResponse:
        nonlocal body
        body = body or msgspec.json.encode(document(every.all))
        return HttpResponse(200, body)

    own = Route("GET", PATH, describe, open=True, describe=operation("Describe the API of the gateway."))
    every = Routes((*routes.all, own))
    return every


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes (https://spec.openapis.org/oas/v3.1.1.html)."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _described(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "LocalAgent", "version": metadata.version("localagent-gateway")},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": paths,
        "components": {
            "schemas": {**REQUESTS, **ANSWERS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _described(route: Route) -> dict[str, Any]:
    """Return a route's operation object: its own description, with its errors, security and parameter."""
    found = {**operation("A route of a plugin."), **route.describe}
    error = _ERRORS.get(route.errors or shape_of(HttpRequest(route.method, route.path)), "Answer")
    failure = {"description": "The error, in the shape of this API.", "content": {JSON: _schema(error)}}
    if route.method == "HEAD":
        failure = {"description": "The error."}
    found["responses"] = {"4XX": failure, "5XX": failure, **found.get("responses", {})}
    if route.open:
        found["security"] = []
    if route.path.endswith("}"):
        name = route.path[:-1].rpartition("{")[2]
        parameter = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        found["parameters"] = [parameter]
    return found
