"""Anthropic's requests as requests of the pipeline.

===============================  ======================================================================================
at Anthropic                     in the OpenAI schema
===============================  ======================================================================================
``system``, ``messages``         ``messages``
``tools``, ``tool_choice``       the same, see ``tools``
``thinking``, ``output_config``  ``reasoning_effort``, ``response_format``, see ``effort``
``stop_sequences``               ``stop``
``metadata.user_id``             ``user``
``top_k``                        the same: a vendor field that most local servers know
``cache_control``                nothing, see ``blocks``
``service_tier``, ``speed``      nothing for ``auto`` and ``standard``, which is what happens untold; else refused
===============================  ======================================================================================

``model``, ``max_tokens``, ``temperature`` and ``top_p`` are the same. A field that is null is not said. A field that
stands in no table is refused by name: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localagent import ChatRequest
from localagent_gateway.apis.anthropic.blocks import only, text_of
from localagent_gateway.apis.anthropic.effort import output_config, thinking
from localagent_gateway.apis.anthropic.errors import unsupported, wrong
from localagent_gateway.apis.anthropic.messages import openai_messages, system_messages
from localagent_gateway.apis.anthropic.tools import choice, functions

Document = dict[str, Any]
Rule = Callable[[Document, str, Any], None]


def chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return the request that the body of ``/v1/messages`` makes, streamed or not.

    Args:
        body: The body.

    Raises:
        InvalidRequest: The body says what cannot be said (code ``unsupported``), or is wrong.
    """
    limit = body.get("max_tokens")
    if type(limit) is not int or limit < 1:
        raise wrong("The field max_tokens is missing or no number of tokens above 0.")
    request = counted_request(body)
    # Streams tell the usage at their end, so it is asked of the server.
    return request.replace(stream_options={"include_usage": True}) if body.get("stream") else request


def counted_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return the request that the body of ``/v1/messages/count_tokens`` describes; errors as in ``chat_request``."""
    document: Document = {}
    for name, value in body.items():
        if value is None:
            continue
        rule = _RULES.get(name)
        if rule is None:
            raise unsupported(f"the field {name[:60]!r}")
        rule(document, name, value)
    document["messages"] = system_messages(body.get("system")) + openai_messages(body.get("messages"))
    return ChatRequest(document)


def _kept(document: Document, name: str, value: Any) -> None:
    document[name] = value


def _elsewhere(document: Document, name: str, value: Any) -> None:
    """Leave the field to whoever reads it apart."""


def _default(usual: str) -> Rule:
    def rule(document: Document, name: str, value: Any) -> None:
        if value != usual:
            raise unsupported(f"the field {name!r} other than {usual!r}")

    return rule


def _stop(document: Document, name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
        raise wrong("The field stop_sequences is no list of texts.")
    if value:
        document["stop"] = value


def _metadata(document: Document, name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise wrong("The field metadata is no object.")
    only(value, name, "user_id")
    if value.get("user_id") is not None:
        document["user"] = text_of(value, "user_id", name)


def _tools(document: Document, name: str, value: Any) -> None:
    told = functions(value)
    if told:  # servers of the OpenAI schema refuse an empty list
        document["tools"] = told


def _tool_choice(document: Document, name: str, value: Any) -> None:
    document.update(choice(value))


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("model", "max_tokens", "temperature", "top_p", "top_k"), _kept),
    **dict.fromkeys(("messages", "system", "stream", "cache_control"), _elsewhere),
    "stop_sequences": _stop,
    "metadata": _metadata,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "thinking": thinking,
    "output_config": output_config,
    "service_tier": _default("auto"),
    "speed": _default("standard"),
}
