"""``/openapi.json``: an OpenAPI 3.1 document of what is really served, made from the routes themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import msgspec

from localagent import Principal
from localagent.plugin_api import FrontAnswer, FrontRequest, Route
from localagent_gateway.apis.error_shapes import ErrorShape, anthropic_error, ollama_error, openai_error, shape_of
from localagent_gateway.apis.openapi_schemas import ANSWERS, REQUESTS
from localagent_gateway.apis.routing import Routes

PATH = "/openapi.json"
EVENTS, LINES, PLAIN, JSON = "text/event-stream", "application/x-ndjson", "text/plain", "application/json"
_ERRORS: Mapping[ErrorShape, str] = {
    openai_error: "OpenAIError",
    ollama_error: "OllamaError",
    anthropic_error: "AnthropicError",
}


def operation(
    summary: str, request: str = "", answer: str = "Answer", *kinds: str, also: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return an operation object: what a ``Route.describe`` holds.

    Args:
        summary: What the route does, in a sentence.
        request: The schema of the request's body; empty where there is none.
        answer: The schema of a JSON answer; empty where no answer is JSON.
        kinds: Further media types of an answer.
        also: Schemas of JSON answers of further statuses.
    """
    content: dict[str, Any] = {JSON: _schema(answer)} if answer else {}
    content |= {kind: {} for kind in kinds}  # OpenAPI 3.1 has no words for what streams hold
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
    """Return the routes and that of the document of all of them; it is made when it is first asked for.

    Args:
        routes: All others.

    Raises:
        PluginError: A plugin answers this path.
    """
    body = b""

    async def describe(front: FrontRequest, principal: Principal) -> FrontAnswer:
        nonlocal body
        body = body or msgspec.json.encode(document(every.all))
        return FrontAnswer(200, body)

    own = Route("GET", PATH, describe, open=True, describe=operation("Describe what is served."))
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
    """Return a route's operation object: what it says of itself, with its errors, its key and its parameter."""
    found = {**operation("A route that a plugin adds."), **route.describe}
    error = _ERRORS.get(route.errors or shape_of(FrontRequest(route.method, route.path)), "Answer")
    failure = {"description": "What is wrong, in the shape of this API.", "content": {JSON: _schema(error)}}
    if route.method == "HEAD":
        failure = {"description": "What is wrong."}
    found["responses"] = {"4XX": failure, "5XX": failure, **found.get("responses", {})}
    if route.open:
        found["security"] = []
    if route.path.endswith("}"):
        name = route.path[:-1].rpartition("{")[2]
        parameter = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        found["parameters"] = [parameter]
    return found
