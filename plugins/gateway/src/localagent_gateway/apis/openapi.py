"""``/openapi.json``: an OpenAPI 3.1 document of what is really served, made from the routes themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import msgspec

from localagent import FrontAnswer, FrontRequest, Principal, Route
from localagent_gateway.apis.openapi_schemas import ANSWERS, REQUESTS
from localagent_gateway.apis.routing import Routes

PATH = "/openapi.json"
EVENTS, LINES, PLAIN, JSON = "text/event-stream", "application/x-ndjson", "text/plain", "application/json"


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


OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", PATH): operation("Describe what is served.", "", "Answer"),
    ("GET", "/healthz"): operation("Say that the process lives.", "", "Status"),
    ("GET", "/readyz"): operation("Say whether requests are wanted.", "", "Status", also={"503": "Status"}),
    ("POST", "/v1/chat/completions"): operation("Answer a chat.", "ChatRequest", "Answer", EVENTS),
    ("POST", "/v1/completions"): operation("Continue a text.", "CompletionRequest", "Answer", EVENTS),
    ("POST", "/v1/embeddings"): operation("Embed texts.", "EmbeddingRequest"),
    ("POST", "/v1/responses"): operation("Answer, without state.", "ResponsesRequest", "Answer", EVENTS),
    ("GET", "/v1/models"): operation("List the models.", "", "ModelList"),
    ("GET", "/v1/models/{id}"): operation("Describe a model.", "", "Model"),
    ("POST", "/v1/messages"): operation("Answer a chat of Anthropic's.", "MessagesRequest", "Answer", EVENTS),
    ("POST", "/v1/messages/count_tokens"): operation("Count the tokens of a chat.", "MessagesRequest"),
    ("GET", "/"): operation("Say what clients of Ollama look for first.", "", "", PLAIN),
    ("POST", "/api/chat"): operation("Answer a chat of Ollama's.", "OllamaChatRequest", "Answer", LINES),
    ("POST", "/api/generate"): operation("Continue or answer a text.", "OllamaGenerateRequest", "Answer", LINES),
    ("POST", "/api/embed"): operation("Embed texts.", "OllamaEmbedRequest"),
    ("POST", "/api/embeddings"): operation("Embed a text.", "OllamaEmbeddingsRequest"),
    ("POST", "/api/show"): operation("Describe a model.", "OllamaShowRequest"),
    ("GET", "/api/tags"): operation("List the models.", "", "OllamaModelList"),
    ("GET", "/api/ps"): operation("List the models in memory.", "", "OllamaModelList"),
    ("GET", "/api/version"): operation("Name the version of Ollama's API.", "", "OllamaVersion"),
}


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

    every = Routes((*routes.all, Route("GET", PATH, describe, open=True)))
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
    """Return a route's operation object: what it says of itself over what is known of its path."""
    known = OPERATIONS.get((route.method, route.path)) or operation("A route that a plugin adds.")
    found = {**known, **route.describe}
    failure = {"description": "What is wrong, in the shape of this API.", "content": {JSON: _schema(_error(route))}}
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


def _error(route: Route) -> str:
    """Name the shape of a route's errors."""
    if route.errors is None:
        return "OpenAIError"
    if (route.method, route.path) not in OPERATIONS:
        return "Answer"
    return "AnthropicError" if route.path.startswith("/v1/messages") else "OllamaError"
