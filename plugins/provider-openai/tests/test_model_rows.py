"""What rows of model lists tell."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Instance, ModelInfo
from localagent_provider_openai.model_rows import model_info

ONE = Instance("one", "p", "openai", "http://one")


@pytest.mark.parametrize(
    ("row", "reported"),
    [
        ({}, {}),
        ({"meta": {"n_ctx_train": 2048, "n_embd": 384}}, {"context_length": 2048, "embedding_size": 384}),
        ({"max_model_len": 4096, "owned_by": "vllm"}, {"context_length": 4096, "owner": "vllm"}),
        ({"context_length": 8192, "supported_parameters": ["tools", "structured_outputs"],
          "architecture": {"input_modalities": ["text", "image"]}},
         {"context_length": 8192, "tools": True, "json_schema": True, "vision": True}),
        ({"supported_parameters": ["temperature"], "architecture": {"input_modalities": ["text"]}},
         {"tools": False, "json_schema": False, "vision": False}),
        ({"max_context_length": 32768, "capabilities": {"function_calling": True, "vision": False}},
         {"context_length": 32768, "tools": True, "vision": False}),
        ({"capabilities": ["completion"], "meta": None, "context_length": "much", "supported_parameters": 7}, {}),
    ],
)  # fmt: skip
def test_rows_tell_what_they_tell(row: dict[str, Any], reported: dict[str, Any]) -> None:
    """Of whatever server; what is of another type than expected is as if it were not there."""
    assert model_info({"id": "m", **row}, ONE) == ModelInfo("m", "p", "one", **reported)
