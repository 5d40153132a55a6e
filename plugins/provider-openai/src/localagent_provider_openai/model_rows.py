"""Reads a row of ``/v1/models``; servers agree on ``id`` and on little else.

It reads the fields that these servers document: llama.cpp (``meta.n_ctx_train``, ``meta.n_embd``), vLLM
(``max_model_len``), OpenRouter (``context_length``, ``architecture.input_modalities``, ``supported_parameters``) and
Mistral (``max_context_length``, ``capabilities``). Values that a server does not report stay unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent import Instance, ModelInfo

_WINDOWS = ("context_length", "max_model_len", "max_context_length")
_TOOLS, _SCHEMA = frozenset({"tools", "tool_choice"}), frozenset({"structured_outputs"})


def model_info(row: Mapping[str, Any], instance: Instance) -> ModelInfo:
    """Return the model that a row describes.

    Args:
        row: The row; it has an ``id``.
        instance: The instance that sent it.
    """
    meta, able = _table(row, "meta"), _table(row, "capabilities")
    windows = (*(row.get(name) for name in _WINDOWS), meta.get("n_ctx_train"))
    return ModelInfo(
        id=str(row["id"]),
        provider=instance.provider,
        instance=instance.id,
        context_length=next((one for one in map(_count, windows) if one is not None), None),
        owner=str(row.get("owned_by") or ""),
        tools=_said(able.get("function_calling"), row.get("supported_parameters"), _TOOLS),
        vision=_said(able.get("vision"), _table(row, "architecture").get("input_modalities"), frozenset({"image"})),
        json_schema=_said(None, row.get("supported_parameters"), _SCHEMA),
        embedding_size=_count(meta.get("n_embd")),
    )


def _table(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _said(flag: object, listed: object, names: frozenset[str]) -> bool | None:
    """Return the flag, else whether the list contains one of the names; None when there is neither."""
    if isinstance(flag, bool):
        return flag
    if isinstance(listed, list):
        return any(one in names for one in listed if isinstance(one, str))
    return None
