"""Request bodies in Ollama's format: ``/api/chat``, ``/api/generate``, ``/api/embed``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent_provider_ollama.chat_fields import CHAT
from localagent_provider_ollama.fields import (
    EVERYWHERE,
    GENERATION,
    Draft,
    Table,
    default,
    kept,
    unsupported,
)
from localagent_provider_ollama.settings import OllamaSettings


def _prompt(draft: Draft, _: str, value: Any) -> None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise unsupported("a prompt that is not a single text")
    draft.body["prompt"] = value


def _suffix(draft: Draft, name: str, value: Any) -> None:
    """Send the suffix, without ``raw``: the text after the gap needs the model's template."""
    draft.body[name] = value
    draft.body["raw"] = False


def _input(draft: Draft, _: str, value: Any) -> None:
    inputs = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in inputs):
        raise unsupported("an input that is not text")
    draft.body["input"] = inputs


COMPLETION = Table(
    {
        **GENERATION,
        "prompt": _prompt,
        "suffix": _suffix,
        "raw": kept,
        "best_of": default(1),
        "echo": default(False),
    }
)
EMBEDDING = Table(
    {
        **EVERYWHERE,
        "input": _input,
        "dimensions": kept,
        "encoding_format": default("float", "base64"),  # both are converted from the numbers in the answer
    }
)


def chat_body(document: Mapping[str, Any], model: str, settings: OllamaSettings, *, stream: bool) -> dict[str, Any]:
    """Return the body for ``/api/chat``.

    Args:
        document: The request in the OpenAI schema.
        model: The model's name at the instance.
        settings: The provider's defaults.
        stream: Whether the answer is streamed.

    Raises:
        InvalidRequest: The request needs something that Ollama's API does not support (code ``unsupported``), or is
            not valid.
    """
    return _body(CHAT, document, model, settings, stream=stream)


def completion_body(
    document: Mapping[str, Any], model: str, settings: OllamaSettings, *, stream: bool
) -> dict[str, Any]:
    """Return the body for ``/api/generate``: the bare text goes to the model, without its chat template."""
    return _body(COMPLETION, document, model, settings, stream=stream, raw=True)


def embedding_body(document: Mapping[str, Any], model: str, settings: OllamaSettings) -> dict[str, Any]:
    """Return the body for ``/api/embed``."""
    return _body(EMBEDDING, document, model, settings)


def _body(
    table: Table, document: Mapping[str, Any], model: str, settings: OllamaSettings, **fields: Any
) -> dict[str, Any]:
    draft = Draft(model, settings.options)
    if settings.num_ctx is not None:
        draft.options["num_ctx"] = settings.num_ctx
    if settings.keep_alive is not None:
        draft.body["keep_alive"] = settings.keep_alive
    draft.body.update(fields)
    table.apply(document, draft)
    if draft.options:
        draft.body["options"] = draft.options
    return draft.body
