"""What the bodies of requests and answers look like: the schemas of the OpenAPI document.

Of requests the fields that the gateway itself reads or refuses are described. OpenAI's other fields pass as they are,
so they are allowed; Anthropic's and Ollama's are translated one by one, by tables, so others are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent_gateway.apis.anthropic import requests as anthropic
from localagent_gateway.apis.bodies import DENIED
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


def _open(*required: str, **properties: Schema) -> Schema:
    """Return a request whose unknown fields pass, but for those that could choose where it goes."""
    denied = {"not": {"enum": sorted(DENIED)}}
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "propertyNames": denied,
        "additionalProperties": True,
    }


def _closed(table: Table, known: Mapping[str, Schema], *required: str) -> Schema:
    """Return a request that holds the fields of its table, and no others."""
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
