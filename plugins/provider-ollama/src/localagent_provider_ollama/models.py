"""Reads what an instance reports about its models: ``/api/tags``, ``/api/ps``, ``/api/show``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from localagent import Instance, ModelInfo
from localagent_provider_ollama.native import Shown, Tag

LONGEST = 64  # the most characters of a name in a model's details, and the most names
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


def model_info(
    tag: Tag, instance: Instance, *, shown: Shown | None, loaded: Tag | None, num_ctx: int | None
) -> ModelInfo:
    """Return what is known about a model.

    ``context_length`` is the window that a request gets: the value in the settings, else the window it is loaded with,
    else the value in its Modelfile; never more than it was trained for. Without any of these Ollama's own default
    applies, which it does not report. (Ollama truncates longer prompts silently, so the trained length would mislead.)

    Args:
        tag: Its row in the list.
        instance: The instance that has the model.
        shown: Its details, if the instance sent them.
        loaded: Its row among the loaded models, if it is loaded.
        num_ctx: The window in the provider's settings.
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
        json_schema=_can(shown, "completion"),  # ``format`` makes any model that generates text follow a schema
        embedding_size=_number(shown, "embedding_length"),
    )


def essence(shown: Shown) -> Shown:
    """Return only the details that ``model_info`` reads: they are kept in memory, and a server may send a lot."""
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
    """Return the name that requests use; older versions send only one of the two."""
    return tag.model or tag.name


def same_model(asked: str, known: Collection[str]) -> bool:
    """Return whether a model is among others; ``llama3.2`` is the same as ``llama3.2:latest``."""
    return asked in known or f"{asked}:latest" in known


def _can(shown: Shown | None, name: str) -> bool | None:
    """Return whether a model has a capability; None if its instance does not report it, such as older versions."""
    return None if shown is None or shown.capabilities is None else name in shown.capabilities


def _number(shown: Shown | None, name: str) -> int | None:
    """Return a number from a model's architecture data."""
    info: Mapping[str, Any] = shown.model_info or {} if shown else {}
    number = info.get(f"{info.get('general.architecture')}.{name}")
    return number if isinstance(number, int) else None


def _from_modelfile(shown: Shown | None) -> int | None:
    found = _NUM_CTX.search(shown.parameters) if shown and shown.parameters else None
    return int(found[1]) if found else None
