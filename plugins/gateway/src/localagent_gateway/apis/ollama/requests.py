"""Ollama's requests as requests of the pipeline.

============================  =========================================================================================
at Ollama                     in the OpenAI schema
============================  =========================================================================================
``options.temperature`` etc.  fields of the same name; see ``SPREAD``
``options.num_predict``       ``max_tokens``; below 1, which means "no limit", it is left out
``options.stop``              ``stop``
other ``options``             ``options`` with the rest: a vendor field that Ollama servers understand
``format``                    ``response_format``
``think``                     ``reasoning_effort``; ``true`` is ``medium``, ``false`` is ``none``
``tools``                     the same; an empty list is left out, because OpenAI refuses it
``keep_alive``, ``truncate``, ``shift``, ``dimensions``, ``logprobs``, ``top_logprobs``: the same
============================  =========================================================================================
"""

from __future__ import annotations

from typing import Any

from localagent import ChatRequest, CompletionRequest, EmbedRequest
from localagent_gateway.apis.fields import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_TEXTS,
    WHOLE,
    Document,
    Table,
    elsewhere,
    refused,
    same,
    to,
)
from localagent_gateway.apis.ollama.messages import openai_messages, user_message
from localagent_gateway.errors import wrong

#: Options for which the OpenAI schema, or most servers that use it, have a field of the same name.
SPREAD = (
    "temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "presence_penalty", "frequency_penalty",
    "repeat_penalty", "num_ctx",
)  # fmt: skip
EFFORTS = ("low", "medium", "high", "max")
_SWITCH = {True: "medium", False: "none"}  # "medium" is the default of models with efforts
_COUNTED = {"include_usage": True}  # Ollama's last line has token counts


def chat_request(body: Document, *, streamed: bool) -> ChatRequest:
    """Return the request for the body of ``/api/chat``.

    Args:
        body: The body.
        streamed: Whether the client wants a stream.

    Raises:
        InvalidRequest: A field is wrong or not supported (code ``unsupported``).
    """
    request = ChatRequest(_counted(CHAT.read(body), streamed))
    request.check()
    return request


def generate_request(body: Document, *, streamed: bool) -> ChatRequest | CompletionRequest:
    """Return the request for the body of ``/api/generate``: a completion with ``raw`` or ``suffix``, else a chat.

    Args:
        body: The body.
        streamed: Whether the client wants a stream.

    Raises:
        InvalidRequest: A field is wrong or not supported (code ``unsupported``).
    """
    if body.get("raw") or body.get("suffix"):
        return CompletionRequest(_counted(COMPLETE.read(body), streamed))
    document = GENERATE.read(body)
    said = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    document["messages"] = [*said, user_message(body.get("prompt") or "", body.get("images"), "the prompt")]
    return ChatRequest(_counted(document, streamed))


def embed_request(body: Document) -> EmbedRequest:
    """Return the request for the body of ``/api/embed``; errors as in ``chat_request``."""
    return EmbedRequest(EMBED.read(body))


def embed_one_request(body: Document) -> EmbedRequest:
    """Return the request for the body of the older ``/api/embeddings``; errors as in ``chat_request``."""
    return EmbedRequest(EMBED_ONE.read(body))


def load_request(body: Document) -> CompletionRequest:
    """Return the request that loads or unloads a model: a completion with an empty prompt."""
    said = {name: value for name, value in body.items() if name in _EVERYWHERE}
    return CompletionRequest({**COMPLETE.read(said), "prompt": ""})


def only_loads(body: Document, *content: str) -> str | None:
    """Return ``load`` or ``unload`` for a request without content; None for any other request.

    Args:
        body: The body.
        content: The names of the fields for content.
    """
    if any(body.get(name) for name in content):
        return None
    return "unload" if body.get("keep_alive") in _AT_ONCE else "load"


#: Values of ``keep_alive`` that unload a model at once. Ollama takes a number of seconds, or text with a unit.
_AT_ONCE = (0, *(f"0{unit}" for unit in ("", "ms", "s", "m", "h")))


def _counted(document: Document, streamed: bool) -> Document:
    if streamed:
        document["stream_options"] = _COUNTED
    return document


def _messages(document: Document, where: str, value: Any) -> None:
    document["messages"] = openai_messages(value)


def _tools(document: Document, where: str, value: Any) -> None:
    if LIST(value, where):
        document["tools"] = value


def _options(document: Document, where: str, value: Any) -> None:
    """Move the options to the document's own fields, if there are such fields."""
    left = {}
    for name, option in OBJECT(value, where).items():
        if option is not None and name in _OPTIONS:
            _OPTIONS[name](document, f"{where}.{name}", option)
        elif option is not None:
            left[name] = option
    if left:
        document["options"] = left


def _num_predict(document: Document, where: str, value: Any) -> None:
    if NUMBER(value, where) != value // 1:
        raise wrong(f"The field {where} must be an integer.", where)
    if value >= 1:
        document["max_tokens"] = int(value)


def _stop(document: Document, where: str, value: Any) -> None:
    if TEXT_OR_TEXTS(value, where):
        document["stop"] = value


def _format(document: Document, where: str, value: Any) -> None:
    if value == "json":
        document["response_format"] = {"type": "json_object"}
    elif isinstance(value, dict):
        document["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}
    elif value != "":
        raise wrong('The field format must be "json" or a JSON schema.', where)


def _think(document: Document, where: str, value: Any) -> None:
    if not (isinstance(value, bool) or value in EFFORTS):
        raise wrong(f"The field think must be true, false or one of: {', '.join(EFFORTS)}.", where)
    document["reasoning_effort"] = _SWITCH[value] if isinstance(value, bool) else value


_OPTIONS = {"num_predict": _num_predict, "stop": _stop, **same(None, *SPREAD)}
#: The fields of all operations; ``stream`` is added by the operation.
_EVERYWHERE = {**same(TEXT, "model"), **same(None, "keep_alive", "truncate"), "options": _options}
_GENERATION = {**_EVERYWHERE, **elsewhere(FLAG, "stream"), **same(None, "shift")}
_CONVERSATION = {
    **_GENERATION,
    **same(FLAG, "logprobs"),
    **same(WHOLE, "top_logprobs"),
    "format": _format,
    "think": _think,
}
#: The template is set on the server; ``context`` has tokens of one model; the other fields are for making images.
_NEVER = dict.fromkeys(("template", "context", "width", "height", "steps"), refused())
#: A raw text goes to the model without its chat template, so these fields could have no effect.
_BARE = dict.fromkeys(("system", "images", "format", "think", "logprobs", "top_logprobs"), refused())

CHAT = Table({**_CONVERSATION, "messages": _messages, "tools": _tools})
GENERATE = Table({
    **_CONVERSATION,
    **_NEVER,
    **elsewhere(TEXT, "prompt", "system"),
    **elsewhere(FLAG, "raw"),
    **elsewhere(None, "images"),
    "suffix": refused(),
})  # fmt: skip
COMPLETE = Table({**_GENERATION, **_NEVER, **_BARE, **same(TEXT, "prompt", "suffix"), **elsewhere(FLAG, "raw")})
EMBED = Table({**_EVERYWHERE, **same(TEXT_OR_TEXTS, "input"), **same(WHOLE, "dimensions")})
EMBED_ONE = Table({**_EVERYWHERE, "prompt": to("input", TEXT)})
