"""Counts tokens with the tokenizers that plugins bring; one is looked up for each target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from localagent.pipeline.dispatch import first_now
from localagent.records.instances import Target
from localagent.records.requests import Request
from localagent.timing.work import in_thread

if TYPE_CHECKING:
    from localagent.pipeline.steps import Step
    from localagent.plugin_api.tokenizer import Tokenizer

LONG = 20_000
"""Characters of a request above which counting runs in a thread: about a millisecond of a fast tokenizer."""
KNOWN_AT_MOST = 1_000
"""The number of models whose tokenizers are cached; bounded because users choose the names."""


class TokenCounts:
    """The tokenizers of one client, one per target, looked up once.

    Args:
        steps: The ``tokenize`` steps, which return tokenizers.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._tokenizers: dict[str, Tokenizer | None] = {}

    async def of(self, request: Request, target: Target) -> int | None:
        """Return the tokens of a request for a target; None if no plugin has a tokenizer for it."""
        tokenizer = self._tokenizer(target)
        if tokenizer is None:
            return None
        if _size(request.document) > LONG:
            return await in_thread(tokenizer.request, request)
        return tokenizer.request(request)

    def _tokenizer(self, target: Target) -> Tokenizer | None:
        if target.name not in self._tokenizers:
            if len(self._tokenizers) >= KNOWN_AT_MOST:
                self._tokenizers.clear()
            self._tokenizers[target.name] = first_now(self._steps, target)
        return self._tokenizers[target.name]


def _size(value: Any) -> int:
    """Return the approximate length of a document's text, without encoding it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(item) for item in value.values())
    if isinstance(value, list):
        return sum(_size(item) for item in value)
    return 1
