"""What becomes of the fields of Ollama's requests in the OpenAI schema.

============================  =========================================================================================
at Ollama                     in the OpenAI schema
============================  =========================================================================================
``options.temperature`` etc.  fields of the same name; see ``SPREAD``
``options.num_predict``       ``max_tokens``; nothing below 1, which means "no limit"
``options.stop``              ``stop``
other ``options``             ``options`` with what is left: a vendor field that servers of Ollama's own know
``format``                    ``response_format``
``think``                     ``reasoning_effort``; ``true`` stays ``think``, because it names no effort
``tools``                     the same; an empty list is nothing, because OpenAI refuses one
``keep_alive``, ``truncate``, ``shift``, ``dimensions``, ``logprobs``, ``top_logprobs``: the same
============================  =========================================================================================

A field that is null is not said. A field that stands in no table is refused by name: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localagent.http_answers import redact
from localagent_gateway.apis.ollama.errors import unsupported, wrong

Document = dict[str, Any]
Rule = Callable[[Document, str, Any], None]
Rules = Mapping[str, Rule]

# Options for which the OpenAI schema, or most servers that speak it, have a field of the same name.
SPREAD = frozenset({
    "temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "presence_penalty", "frequency_penalty",
    "repeat_penalty", "num_ctx",
})  # fmt: skip
EFFORTS = frozenset({"low", "medium", "high", "max"})


def apply(rules: Rules, body: Mapping[str, Any], document: Document) -> Document:
    """Write the fields of a body into a document, and return it.

    Raises:
        InvalidRequest: A field cannot be said (code ``unsupported``), or is wrong.
    """
    for name, value in body.items():
        if value is None:
            continue
        rule = rules.get(name)
        if rule is None:
            raise unsupported(f"the field {redact(name[:1000])[:60]!r}")
        rule(document, name, value)
    return document


def kept(document: Document, name: str, value: Any) -> None:
    """Send the field as it is."""
    document[name] = value


def elsewhere(document: Document, name: str, value: Any) -> None:
    """Leave the field to whoever reads it apart."""


def refused(document: Document, name: str, value: Any) -> None:
    """Refuse the field if it says anything."""
    if value:
        raise unsupported(f"the field {name!r}")


def options(document: Document, name: str, value: Any) -> None:
    """Spread the options over the document's own fields, as far as there are such."""
    if not isinstance(value, dict):
        raise wrong("The field options is no object.")
    left: Document = {}
    for option, said in value.items():
        if said is None:
            continue
        if option in _OPTIONS:
            _OPTIONS[option](document, option, said)
        else:
            left[option] = said
    if left:
        document["options"] = left


def _num_predict(document: Document, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise wrong("options.num_predict is no whole number.")
    if value >= 1:
        document["max_tokens"] = int(value)


def _stop(document: Document, name: str, value: Any) -> None:
    if not isinstance(value, str | list):
        raise wrong("options.stop is no list of texts.")
    if value:
        document["stop"] = value


_OPTIONS: Rules = {"num_predict": _num_predict, "stop": _stop, **dict.fromkeys(SPREAD, kept)}


def response_format(document: Document, name: str, value: Any) -> None:
    """Say that the answer is to be JSON, or to follow a schema; ``""`` says nothing."""
    if value == "json":
        document["response_format"] = {"type": "json_object"}
    elif isinstance(value, dict):
        document["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}
    elif value != "":
        raise wrong('The field format is neither "json" nor a JSON schema.')


def think(document: Document, name: str, value: Any) -> None:
    """Say how much is to be thought before the answer."""
    if value is True:
        document["think"] = True
    elif value is False:
        document["reasoning_effort"] = "none"
    elif isinstance(value, str) and value in EFFORTS:
        document["reasoning_effort"] = value
    else:
        raise wrong(f"The field think is neither true, false nor one of: {', '.join(sorted(EFFORTS))}.")


def tools(document: Document, name: str, value: Any) -> None:
    """Name the functions that may be called."""
    if not isinstance(value, list):
        raise wrong("The field tools is no list.")
    if value:
        document["tools"] = value


# What all operations have in common; ``stream`` is said by the operation.
EVERYWHERE: Rules = {"model": kept, "keep_alive": kept, "truncate": kept, "options": options}
GENERATION: Rules = {**EVERYWHERE, "stream": elsewhere, "shift": kept}
CONVERSATION: Rules = {
    **GENERATION,
    "format": response_format,
    "think": think,
    "logprobs": kept,
    "top_logprobs": kept,
}
