"""Ollama's requests as requests of the pipeline."""

from __future__ import annotations

from typing import Any

from localagent import ChatRequest, CompletionRequest, EmbedRequest
from localagent_gateway.apis.ollama.errors import unsupported, wrong
from localagent_gateway.apis.ollama.fields import (
    CONVERSATION,
    EVERYWHERE,
    GENERATION,
    Document,
    apply,
    elsewhere,
    kept,
    refused,
    tools,
)
from localagent_gateway.apis.ollama.messages import openai_messages, user_message

_COUNTED = {"include_usage": True}  # Ollama's last line counts tokens


def _messages(document: Document, name: str, value: Any) -> None:
    document["messages"] = openai_messages(value)


# A template is the server's own affair; what ``context`` holds are tokens of one model; the others make pictures.
_NEVER = dict.fromkeys(("template", "context", "width", "height", "steps"), refused)
_READ_APART = dict.fromkeys(("prompt", "system", "images", "raw"), elsewhere)

CHAT = {**CONVERSATION, "messages": _messages, "tools": tools}
GENERATE = {**CONVERSATION, **_NEVER, **_READ_APART, "suffix": refused}
# A bare text goes to the model without its chat template: there is nobody who could be told any of these.
_BARE = dict.fromkeys(("system", "images", "format", "think", "logprobs", "top_logprobs"), refused)
COMPLETE = {**GENERATION, **_NEVER, **_BARE, "prompt": kept, "suffix": kept, "raw": elsewhere}
EMBED = {**EVERYWHERE, "input": kept, "dimensions": kept}
EMBED_ONE = {**EVERYWHERE, "prompt": elsewhere}


def chat_request(body: dict[str, Any], *, streamed: bool) -> ChatRequest:
    """Return the request that the body of ``/api/chat`` makes.

    Args:
        body: The body.
        streamed: Whether the answer is wanted as a stream.

    Raises:
        InvalidRequest: The body says what cannot be said (code ``unsupported``), or is wrong.
    """
    request = ChatRequest(_counted(apply(CHAT, body, {}), streamed))
    request.check()
    return request


def generate_request(body: dict[str, Any], *, streamed: bool) -> ChatRequest | CompletionRequest:
    """Return the request that the body of ``/api/generate`` makes: a chat, or a completion if ``raw`` or to fill a gap.

    Args:
        body: The body.
        streamed: Whether the answer is wanted as a stream.

    Raises:
        InvalidRequest: The body says what cannot be said (code ``unsupported``), or is wrong.
    """
    prompt = _text(body, "prompt")
    if body.get("raw") or body.get("suffix"):
        return CompletionRequest(_counted(apply(COMPLETE, body, {}), streamed))
    document = apply(GENERATE, body, {})
    system = _text(body, "system")
    said = [{"role": "system", "content": system}] if system else []
    document["messages"] = [*said, user_message(prompt, body.get("images"), "the prompt")]
    return ChatRequest(_counted(document, streamed))


def embed_request(body: dict[str, Any]) -> EmbedRequest:
    """Return the request that the body of ``/api/embed`` makes; errors as in ``chat_request``."""
    return EmbedRequest(apply(EMBED, body, {}))


def embed_one_request(body: dict[str, Any]) -> EmbedRequest:
    """Return the request that the body of ``/api/embeddings`` makes, which is older; errors as in ``chat_request``."""
    return EmbedRequest(apply(EMBED_ONE, body, {"input": _text(body, "prompt")}))


def only_loads(body: dict[str, Any], *content: str) -> bool:
    """Whether a body asks for nothing but that the model be loaded: it lacks all content.

    Args:
        body: The body.
        content: The fields that would hold content.

    Raises:
        InvalidRequest: It asks that the model be put out of memory, which is the instance's own affair.
    """
    if any(body.get(name) for name in content):
        return False
    if body.get("keep_alive") in (0, "0", "0s"):
        raise unsupported("that a model be put out of memory", "Ask its instance.")
    return True


def _counted(document: Document, streamed: bool) -> Document:
    if streamed:
        document["stream_options"] = _COUNTED
    return document


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str | None):
        raise wrong(f"The field {name} is no text.")
    return value or ""
