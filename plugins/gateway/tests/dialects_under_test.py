"""The ways in which a client can ask for an answer, one for each route that sends a prompt to a model."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Way:
    """A route, and what is sent to it.

    Attributes:
        path: The route's path.
        prompt: The field that holds the prompt.
        as_messages: Whether the prompt is a conversation.
        fields: Further fields that the API asks for.
        streams: Whether answers can be streamed.
    """

    path: str
    prompt: str
    as_messages: bool = False
    fields: dict[str, Any] = attrs.field(factory=dict)
    streams: bool = True

    def body(self, prompt: str, *, stream: bool = False, model: str = "up/m") -> dict[str, Any]:
        """Return the body that asks a model this."""
        asked = [{"role": "user", "content": prompt}] if self.as_messages else prompt
        return {"model": model, self.prompt: asked, **({"stream": stream} if self.streams else {}), **self.fields}


WAYS = (
    Way("/v1/chat/completions", "messages", as_messages=True),
    Way("/v1/completions", "prompt"),
    Way("/v1/embeddings", "input", streams=False),
    Way("/v1/responses", "input"),
    Way("/api/chat", "messages", as_messages=True),
    Way("/api/generate", "prompt"),
    Way("/api/embed", "input", streams=False),
    Way("/api/embeddings", "prompt", streams=False),
    Way("/v1/messages", "messages", as_messages=True, fields={"max_tokens": 10}),
    Way("/v1/messages/count_tokens", "messages", as_messages=True, streams=False),
)
ASKED = tuple((way, stream) for way in WAYS for stream in ((False, True) if way.streams else (False,)))
NAMES = tuple(f"{way.path.lstrip('/')}{'-streamed' if stream else ''}" for way, stream in ASKED)
