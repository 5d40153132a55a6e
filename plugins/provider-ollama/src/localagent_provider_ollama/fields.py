"""What becomes of each field of a request: one table for every operation, and the rules that it is made of.

The rows of a table are applied in its order, so a later one wins where two say the same. A field that is null is not
said. A field that stands in no row cannot be said to Ollama and is an error: nothing is dropped in silence.

============================  =========================================================================================
rule                          what becomes of the field
============================  =========================================================================================
``option("num_predict")``     one of Ollama's options, by that name
``kept``                      a field of the same name
``default(1)``                nothing while it has one of these values, which say what Ollama does anyway
``dropped``                   nothing: it changes no answer (who asks, how it is stored, how it is delivered)
a function of its own         see ``chat_fields``
============================  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localagent.errors import Advice, InvalidRequest
from localagent.http_answers import redact


class Draft:
    """A request to Ollama, as far as it is written.

    Args:
        model: The model's name at the instance.
        options: Options that hold unless the request says otherwise.

    Attributes:
        body: The request's own fields.
        options: Its options.
    """

    __slots__ = ("body", "options")

    def __init__(self, model: str, options: Mapping[str, Any]) -> None:
        self.body: dict[str, Any] = {"model": model}
        self.options = dict(options)


Rule = Callable[[Draft, str, Any], None]
Rules = Mapping[str, Rule]


class Table:
    """The rules of an operation's fields.

    Args:
        rules: By field, in the order in which they are applied.

    Attributes:
        fields: The names of the fields.
    """

    __slots__ = ("_rank", "_rules", "fields")

    def __init__(self, rules: Rules) -> None:
        self._rules = dict(rules)
        self._rank = {name: place for place, name in enumerate(rules)}
        self.fields = frozenset(rules)

    def apply(self, document: Mapping[str, Any], draft: Draft) -> None:
        """Write a document's fields into a draft.

        Raises:
            InvalidRequest: One of them cannot be said to Ollama (code ``unsupported``), or is wrong.
        """
        said = [name for name, value in document.items() if value is not None]
        for name in said:
            if name not in self.fields:
                raise unsupported(f"the field {redact(name)!r}")
        for name in sorted(said, key=self._rank.__getitem__):
            self._rules[name](draft, name, document[name])


def unsupported(what: str, hint: str | None = None) -> InvalidRequest:
    """Return the error for what Ollama's API cannot express; another provider may be able to."""
    return InvalidRequest(
        f"Ollama's API cannot say {what}.", hint=hint, code="unsupported", advice=Advice(next=True, sent=False)
    )


def wrong(what: str) -> InvalidRequest:
    """Return the error for a field that is wrong wherever it is sent."""
    return InvalidRequest(what, advice=Advice(sent=False))


def option(name: str) -> Rule:
    """Make the rule for a field that is an option of Ollama's, by another name perhaps."""

    def rule(draft: Draft, _: str, value: Any) -> None:
        draft.options[name] = value

    return rule


def default(*values: Any) -> Rule:
    """Make the rule for a field of which Ollama can say only these values, because they are what it does anyway."""

    def rule(_: Draft, name: str, value: Any) -> None:
        if value not in values:
            raise unsupported(f"this value of {name!r}")

    return rule


def kept(draft: Draft, name: str, value: Any) -> None:
    """Send the field as it is."""
    draft.body[name] = value


def dropped(_draft: Draft, _name: str, _value: Any) -> None:
    """Leave the field out: no answer depends on it."""


def options(draft: Draft, _: str, value: Any) -> None:
    """Take over options by Ollama's own names."""
    if not isinstance(value, dict):
        raise wrong("options must be an object.")
    draft.options.update(value)


def stop(draft: Draft, _: str, value: Any) -> None:
    """Ollama takes stop sequences as a list only."""
    draft.options["stop"] = [value] if isinstance(value, str) else value


# What chats, completions and embeddings have in common.
EVERYWHERE: Rules = {
    "model": dropped,  # the target's own name is sent
    "options": options,
    "num_ctx": option("num_ctx"),
    "keep_alive": kept,
    "truncate": kept,
    "user": dropped,
    "metadata": dropped,
    "safety_identifier": dropped,
}

# What chats and completions have in common.
GENERATION: Rules = {
    **EVERYWHERE,
    "max_tokens": option("num_predict"),
    "max_completion_tokens": option("num_predict"),
    **{
        name: option(name)
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "typical_p",
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "repeat_penalty",
        )
    },
    "stop": stop,
    "shift": kept,
    "n": default(1),
    "logit_bias": default({}),
    "stream": dropped,  # the operation says it
    "stream_options": dropped,  # Ollama always counts; the decoder hands on what was asked for
    "store": dropped,
    "service_tier": dropped,
    "prediction": dropped,
    "prompt_cache_key": dropped,
    "prompt_cache_retention": dropped,
}
