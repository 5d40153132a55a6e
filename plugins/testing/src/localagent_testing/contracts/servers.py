"""How servers of a protocol answer: what ``ProviderContract`` needs to know about the protocol under test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from localagent_testing.connection import ReceivedRequest
from localagent_testing.faults.dialects import DIALECTS, Dialect, ollama_end, openai_usage
from localagent_testing.http_bytes import Body

__all__ = ["OllamaServer", "OpenAIServer", "ProtocolServer"]

ALL = frozenset({"chat", "stream", "complete", "embed", "models"})


class ProtocolServer:
    """The server of a protocol. Authors of a new protocol subclass it; the methods return bodies.

    Attributes:
        dialect: Builds the protocol's events.
        supports: The operations of the protocol, of chat, stream, complete, embed, models.
        key_header: The header in which the key is sent.
        key_scheme: The text before the key in it.
        wrong_key_status: The status with which a wrong key is refused.
        missing_model_status: The status with which an unknown model is refused.
    """

    dialect: ClassVar[Dialect]
    supports: ClassVar[frozenset[str]] = ALL
    key_header: ClassVar[str] = "Authorization"
    key_scheme: ClassVar[str] = "Bearer "
    wrong_key_status: ClassVar[int] = 401
    missing_model_status: ClassVar[int] = 404

    def operation(self, request: ReceivedRequest) -> str:
        """Return the operation of a request: chat, stream, complete, embed, models, or another one."""
        raise NotImplementedError

    def chat(self, text: str, **more: Any) -> Body:
        """Return a whole answer with 3 and 2 tokens; ``more`` are unknown fields."""
        raise NotImplementedError

    def completion(self, text: str) -> Body:
        """Return the whole answer to a text completion."""
        raise NotImplementedError

    def embeddings(self, vectors: Sequence[Sequence[float]]) -> Body:
        """Return embeddings."""
        raise NotImplementedError

    def models(self, names: Sequence[str]) -> Body:
        """Return the list of models."""
        raise NotImplementedError

    def other(self, request: ReceivedRequest) -> Body:
        """Return the answer to any other request that a provider may make."""
        return {}

    def events(self, texts: Sequence[str]) -> list[bytes]:
        """Return the events of a stream that ends well, one item per event."""
        return [self.dialect.opening(), *map(self.dialect.text, texts), *self.dialect.ending()]

    def wrong_key(self) -> Body:
        """Return the body with which a wrong key is refused."""
        words = "Incorrect API key provided."
        body: Body = self.dialect.error(words, kind="invalid_request_error", code="invalid_api_key")
        return body

    def missing_model(self, name: str) -> Body:
        """Return the body with which an unknown model is refused."""
        body: Body = self.dialect.error(f"The model '{name}' does not exist.", code="model_not_found")
        return body


class OpenAIServer(ProtocolServer):
    """Chat Completions, completions, embeddings and models, as OpenAI and many others serve them."""

    dialect = DIALECTS["openai"]

    def operation(self, request: ReceivedRequest) -> str:
        """Tell by the path."""
        if request.path == "/v1/chat/completions":
            return "stream" if b'"stream":true' in request.body else "chat"
        paths = {"/v1/completions": "complete", "/v1/embeddings": "embed", "/v1/models": "models"}
        return paths.get(request.path, "other")

    def chat(self, text: str, **more: Any) -> Body:
        """Return a ``chat.completion``."""
        return {**self.dialect.completion(text), **more}

    def completion(self, text: str) -> Body:
        """Return a ``text_completion``."""
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        return {"id": "cmpl-1", "object": "text_completion", "choices": [choice], "usage": openai_usage(3, 2)}

    def embeddings(self, vectors: Sequence[Sequence[float]]) -> Body:
        """Return a list of embeddings, the last one first: their index gives the order."""
        rows = [{"object": "embedding", "index": at, "embedding": list(row)} for at, row in enumerate(vectors)]
        return {"object": "list", "data": rows[::-1], "usage": {"prompt_tokens": 3, "total_tokens": 3}}

    def models(self, names: Sequence[str]) -> Body:
        """Return a list of models."""
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "them"} for name in names]}


class OllamaServer(ProtocolServer):
    """Ollama's own API."""

    dialect = DIALECTS["ollama"]

    def operation(self, request: ReceivedRequest) -> str:
        """Tell by the path."""
        if request.path == "/api/chat":
            return "stream" if b'"stream":true' in request.body else "chat"
        paths = {"/api/generate": "complete", "/api/embed": "embed", "/api/tags": "models"}
        return paths.get(request.path, "other")

    def chat(self, text: str, **more: Any) -> Body:
        """Return a message with ``done``."""
        return {**ollama_end(text), **more}

    def completion(self, text: str) -> Body:
        """Return a response with ``done``."""
        end = {name: value for name, value in ollama_end().items() if name != "message"}
        return {**end, "response": text}

    def embeddings(self, vectors: Sequence[Sequence[float]]) -> Body:
        """Return the vectors."""
        return {"model": "m", "embeddings": [list(row) for row in vectors], "prompt_eval_count": 3}

    def models(self, names: Sequence[str]) -> Body:
        """Return the tags."""
        return {"models": [{"name": name, "model": name, "digest": name} for name in names]}

    def other(self, request: ReceivedRequest) -> Body:
        """Answer requests for version, running models and details."""
        bodies: dict[str, Body] = {"/api/version": {"version": "0.12.0"}, "/api/ps": {"models": []}}
        return bodies.get(request.path, {"details": {}, "model_info": {}})

    def missing_model(self, name: str) -> Body:
        """Return Ollama's error."""
        body: Body = self.dialect.error(f"model '{name}' not found")
        return body
