"""Fake providers that list models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localagent import ModelInfo, Plugin


def listing(fake: type[Plugin], models: Sequence[ModelInfo]) -> type[Plugin]:
    """Have a fake provider list models with facts."""

    class Listing(fake):  # type: ignore[misc,valid-type]
        def _make(self, setup: Any) -> Any:
            provider = super()._make(setup)

            async def list_models(instance: Any, transport: Any, phases: Any) -> Sequence[ModelInfo]:
                return models

            provider.list_models = list_models
            return provider

    return Listing
