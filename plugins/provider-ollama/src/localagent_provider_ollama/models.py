"""What an instance tells of its models: ``/api/tags``, ``/api/ps``, ``/api/show``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from localagent import Instance, ModelInfo
from localagent_provider_ollama.native import Shown, Tag

LONGEST = 64  # characters of a name in a model's details, and how many there may be
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


def model_info(
    tag: Tag, instance: Instance, *, shown: Shown | None, loaded: Tag | None, num_ctx: int | None
) -> ModelInfo:
    """Return what is known of a model.

    ``context_length`` is the window that a request gets: what the settings say, else what it is loaded with, else what
    its Modelfile says; never more than it was trained for. Where nobody says, Ollama's own default holds, which it does
    not tell. (A prompt that is longer is cut by Ollama in silence, so the trained length would mislead.)

    Args:
        tag: Its row in the list.
        instance: Who has it.
        shown: Its details, when the instance gave them.
        loaded: Its row among the loaded models, when it is one.
        num_ctx: The window that the provider's settings ask for.
    """
    trained = _number(shown, "context_length")
    window = num_ctx or (loaded.context_length if loaded else None) or _from_modelfile(shown)
    details = tag.details or {}
    facts: dict[str, Any] = {
        "trained_context_length": trained,
        "capabilities": shown.capabilities if shown else None,
        "size": tag.size,
        "family": details.get("family"),
        "parameter_size": details.get("parameter_size"),
        "quantization": details.get("quantization_level"),
    }
    if loaded is not None:
        until = (loaded.expires_at or "")[:LONGEST]
        facts |= {"memory": loaded.size, "size_vram": loaded.size_vram, "expires_at": until}
    return ModelInfo(
        id=name_of(tag),
        provider=instance.provider,
        instance=instance.id,
        context_length=min(window, trained) if window and trained else window,
        facts={"loaded": loaded is not None, **{name: value for name, value in facts.items() if value}},
        tools=_can(shown, "tools"),
        vision=_can(shown, "vision"),
        json_schema=_can(shown, "completion"),  # its ``format`` holds any model that writes to a schema
        embedding_size=_number(shown, "embedding_length"),
    )


def essence(shown: Shown) -> Shown:
    """Return what ``model_info`` reads of a model's details: it is remembered, and a server may send a lot."""
    info = shown.model_info or {}
    architecture = str(info.get("general.architecture"))[:LONGEST]
    figures = {name: _number(shown, name) for name in ("context_length", "embedding_length")}
    window = _from_modelfile(shown)
    return Shown(
        parameters=None if window is None else f"num_ctx {window}",
        model_info={
            "general.architecture": architecture,
            **{f"{architecture}.{name}": number for name, number in figures.items() if number is not None},
        },
        capabilities=shown.capabilities and [one for one in shown.capabilities[:LONGEST] if len(one) <= LONGEST],
    )


def name_of(tag: Tag) -> str:
    """Return the name that requests use; older versions give only one of the two."""
    return tag.model or tag.name


def same_model(asked: str, known: Collection[str]) -> bool:
    """Say whether a model is among others; ``llama3.2`` is the same as ``llama3.2:latest``."""
    return asked in known or f"{asked}:latest" in known


def _can(shown: Shown | None, name: str) -> bool | None:
    """Return whether a model has a capability; None where its instance does not tell, as older versions."""
    return None if shown is None or shown.capabilities is None else name in shown.capabilities


def _number(shown: Shown | None, name: str) -> int | None:
    """Return a figure of a model's architecture."""
    info: Mapping[str, Any] = shown.model_info or {} if shown else {}
    number = info.get(f"{info.get('general.architecture')}.{name}")
    return number if isinstance(number, int) else None


def _from_modelfile(shown: Shown | None) -> int | None:
    found = _NUM_CTX.search(shown.parameters) if shown and shown.parameters else None
    return int(found[1]) if found else None
