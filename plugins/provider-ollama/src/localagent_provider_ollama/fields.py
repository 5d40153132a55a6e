"""How each field of a request is sent: one table for every operation, and the rules in these tables.

The rows of a table are applied in order, so the later one wins if two set the same value. A field that is null counts
as absent. A field that is in no row is not supported by Ollama and is an error: no field is dropped silently.

============================  =========================================================================================
rule                          how the field is sent
============================  =========================================================================================
``option("num_predict")``     as one of Ollama's options, with that name
``kept``                      as a field of the same name
``default(1)``                not at all; only these values are allowed, which match Ollama's behaviour
``dropped``                   not at all: it does not affect the answer (user, storage, delivery)
a function of its own         see ``chat_fields``
============================  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localagent.errors import Advice, InvalidRequest
from localagent.http_answers import redact


class Draft:
    """A request to Ollama that is being built.

    Args:
        model: The model's name at the instance.
        options: Options that apply unless the request sets them.

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
            InvalidRequest: A field is not supported by Ollama (code ``unsupported``), or is not valid.
        """
        said = [name for name, value in document.items() if value is not None]
        for name in said:
            if name not in self.fields:
                raise unsupported(f"the field {redact(name)!r}")
        for name in sorted(said, key=self._rank.__getitem__):
            self._rules[name](draft, name, document[name])


def unsupported(what: str, hint: str | None = None) -> InvalidRequest:
    """Return the error for a request that Ollama's API does not support; another provider may support it."""
    return InvalidRequest(
        f"Ollama's API does not support {what}.", hint=hint, code="unsupported", advice=Advice(next=True, sent=False)
    )


def wrong(what: str) -> InvalidRequest:
    """Return the error for a field that no provider would accept."""
    return InvalidRequest(what, advice=Advice(sent=False))


def option(name: str) -> Rule:
    """Return the rule for a field that is one of Ollama's options, possibly with another name."""

    def rule(draft: Draft, _: str, value: Any) -> None:
        draft.options[name] = value

    return rule


def default(*values: Any) -> Rule:
    """Return the rule for a field that Ollama's API lacks: only the values that match its behaviour are accepted."""

    def rule(_: Draft, name: str, value: Any) -> None:
        if value not in values:
            raise unsupported(f"this value of {name!r}")

    return rule


def kept(draft: Draft, name: str, value: Any) -> None:
    """Send the field unchanged."""
    draft.body[name] = value


def dropped(_draft: Draft, _name: str, _value: Any) -> None:
    """Drop the field: it does not affect the answer."""


def options(draft: Draft, _: str, value: Any) -> None:
    """Copy options with Ollama's own names."""
    if not isinstance(value, dict):
        raise wrong("options must be an object.")
    draft.options.update(value)


def stop(draft: Draft, _: str, value: Any) -> None:
    """Send stop sequences as a list: Ollama accepts nothing else."""
    draft.options["stop"] = [value] if isinstance(value, str) else value


# Fields that chats, completions and embeddings have in common.
EVERYWHERE: Rules = {
    "model": dropped,  # the target's name for it is sent instead
    "options": options,
    "num_ctx": option("num_ctx"),
    "keep_alive": kept,
    "truncate": kept,
    "user": dropped,
    "metadata": dropped,
    "safety_identifier": dropped,
}

# Fields that chats and completions have in common.
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
    "stream": dropped,  # the operation decides
    "stream_options": dropped,  # Ollama always counts; the decoder sends usage if it was requested
    "store": dropped,
    "service_tier": dropped,
    "prediction": dropped,
    "prompt_cache_key": dropped,
    "prompt_cache_retention": dropped,
}
