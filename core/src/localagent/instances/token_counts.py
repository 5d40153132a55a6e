"""Counting tokens with the tokenizers that plugins bring; one is looked up for each target."""

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
"""Bytes of a request above which counting leaves the event loop: about a millisecond of a fast tokenizer."""
KNOWN_AT_MOST = 1_000
"""Models whose tokenizers are remembered; their names are foreign text."""


class TokenCounts:
    """The tokenizers of one client, one a target, looked up once.

    Args:
        steps: The steps of ``tokenize``, which bring tokenizers.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._tokenizers: dict[str, Tokenizer | None] = {}

    async def of(self, request: Request, target: Target) -> int | None:
        """Count the tokens of a request for a target; None when no plugin counts for it."""
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
    """Return about how much text a document holds, without encoding it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(item) for item in value.values())
    if isinstance(value, list):
        return sum(_size(item) for item in value)
    return 1
