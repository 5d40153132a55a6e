"""Anthropic's requests as requests of the pipeline.

===================================  ==================================================================================
at Anthropic                         in the OpenAI schema
===================================  ==================================================================================
``system``, ``messages``             ``messages``
a tool with ``input_schema``         a function with ``parameters``; ``name``, ``description``, ``strict`` are the same
a tool of a named type               refused: Anthropic's servers run it, or only their models know its schema
``tool_choice`` auto, any, tool      ``auto``, ``required``, the function by its name; ``none`` is the same
``disable_parallel_tool_use``        ``parallel_tool_calls: false``
``thinking`` disabled                ``reasoning_effort: none``, whatever the other fields are
``thinking`` adaptive                left out: the model decides, which is the default
``thinking`` enabled                 ``reasoning_effort`` by ``budget_tokens``, see ``BUDGETS``
``output_config.effort``             ``reasoning_effort``; takes precedence over a budget, because it is not translated
``output_config.format``             ``response_format``
``stop_sequences``                   ``stop``
``metadata.user_id``                 ``user``
``top_k``                            the same: a vendor field that most local servers know
``cache_control``                    left out, see ``messages``
``service_tier``, ``speed``          left out for ``auto`` and ``standard``, which are the defaults; else refused
===================================  ==================================================================================

``model``, ``max_tokens``, ``temperature`` and ``top_p`` are the same. Hidden thoughts (``display: omitted``) are
refused: the gateway could not restore them later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent import ChatRequest
from localagent_gateway.apis.anthropic.messages import openai_messages, system_messages
from localagent_gateway.apis.fields import (
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TEXTS,
    WHOLE,
    Document,
    Table,
    each,
    elsewhere,
    named,
    needed,
    only,
    same,
    to,
    within,
)
from localagent_gateway.apis.request_checks import drop_idle_choice
from localagent_gateway.errors import unsupported, wrong

#: Budgets below these tokens mean that effort. Our own figures: 1,024 is the least that Anthropic accepts, and 16,000
#: the budget of its examples (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking).
BUDGETS = ((4_096, "low"), (16_000, "medium"))
EFFORTS = ("low", "medium", "high", "xhigh", "max")  # not a set: a value in a body may not be hashable
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return the request for the body of ``/v1/messages``, streamed or not.

    Args:
        body: The body.

    Raises:
        InvalidRequest: A field is wrong or not supported (code ``unsupported``).
    """
    if needed(body, "max_tokens", WHOLE) < 1:
        raise wrong("The field max_tokens must be a positive number of tokens.", "max_tokens")
    request = counted_request(body)
    # Streams end with the usage, so it is requested from the server.
    return request.replace(stream_options={"include_usage": True}) if body.get("stream") else request


def counted_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return the request for the body of ``/v1/messages/count_tokens``; errors as in ``chat_request``."""
    document = REQUEST.read(body)
    drop_idle_choice(document)
    document["messages"] = system_messages(body.get("system")) + openai_messages(body.get("messages"))
    return ChatRequest(document)


def _stop(document: Document, where: str, value: Any) -> None:
    if TEXTS(value, where):
        document["stop"] = value


def _tools(document: Document, where: str, value: Any) -> None:
    functions = [_function(tool, place) for place, tool in each(value, where)]
    if functions:  # servers of the OpenAI schema refuse an empty list
        document["tools"] = functions


def _function(tool: Any, where: str) -> Document:
    kind = OBJECT(tool, where).get("type") or "custom"
    if kind != "custom":
        raise unsupported(f"{where}, a tool of type {named(kind)!r}", "Describe it with input_schema.")
    function = {"name": needed(tool, "name", TEXT, where), "parameters": needed(tool, "input_schema", OBJECT, where)}
    return {"type": "function", "function": _FUNCTION.read(tool, where, function)}


def _tool_choice(document: Document, where: str, value: Any) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "tool":
        _CHOICE.read({**value, "name": None}, where, document)
        document["tool_choice"] = {"type": "function", "function": {"name": needed(value, "name", TEXT, where)}}
    elif isinstance(kind, str) and kind in _CHOICES:
        _CHOICE.read(value, where, document)
        document["tool_choice"] = _CHOICES[kind]
    else:
        raise wrong("The type of the field tool_choice must be auto, any, tool or none.", where)


def _one_by_one(document: Document, where: str, value: Any) -> None:
    if FLAG(value, where):
        document["parallel_tool_calls"] = False


def _thinking(document: Document, where: str, value: Any) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("enabled", "disabled", "adaptive"):
        raise unsupported("this value of the field thinking", "Use one of the types enabled, disabled, adaptive.")
    _THINKING.read(value, where)
    if kind == "disabled":
        document["reasoning_effort"] = "none"
    elif kind == "enabled":
        budget = needed(value, "budget_tokens", WHOLE, where)
        if budget < 1:
            raise wrong("The field thinking.budget_tokens must be a positive number of tokens.", where)
        effort = next((effort for below, effort in BUDGETS if budget < below), "high")
        document.setdefault("reasoning_effort", effort)


def _effort(document: Document, where: str, value: Any) -> None:
    if value not in EFFORTS:
        raise wrong(f"The field {where} must be one of: {', '.join(EFFORTS)}.", where)
    if document.get("reasoning_effort") != "none":
        document["reasoning_effort"] = value


def _form(document: Document, where: str, value: Any) -> None:
    """Set the response format; Anthropic always enforces the schema, which OpenAI calls ``strict``."""
    schema = needed(OBJECT(value, where), "schema", OBJECT, where)
    if value.get("type") != "json_schema":
        raise wrong(f"The type of the field {where} must be json_schema.", where)
    _FORM.read(value, where)
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    document["response_format"] = form


_FUNCTION = Table({
    **same(TEXT, "description"),
    **same(FLAG, "strict"),
    # The server decides how finely it streams the input: eager_input_streaming does not change the input itself.
    **elsewhere(None, "type", "name", "input_schema", "cache_control", "eager_input_streaming"),
    "allowed_callers": only([], ["direct"]),
})  # fmt: skip
_CHOICE = Table({**elsewhere(TEXT, "type"), "disable_parallel_tool_use": _one_by_one})
_THINKING = Table({**elsewhere(None, "type", "budget_tokens"), "display": only("summarized")})
_FORM = Table(elsewhere(None, "type", "schema"))
REQUEST = Table({
    **same(TEXT, "model"),
    **same(WHOLE, "max_tokens", "top_k"),
    **same(NUMBER, "temperature", "top_p"),
    **elsewhere(None, "messages", "system", "stream", "cache_control"),
    "stop_sequences": _stop,
    "metadata": within(Table({"user_id": to("user", TEXT)})),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "thinking": _thinking,
    "output_config": within(Table({"effort": _effort, "format": _form})),
    "service_tier": only("auto"),
    "speed": only("standard"),
})  # fmt: skip
"""The fields of a request."""
