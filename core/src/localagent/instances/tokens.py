"""Counting tokens: the tokenizers that plugins bring, and the ones that a client has looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from localagent.pipeline.plan import first_now
from localagent.records.instances import Target
from localagent.records.requests import Request
from localagent.timing.work import in_thread

if TYPE_CHECKING:
    from localagent.runtime import Runtime

LONG = 20_000
"""Bytes of a request above which counting leaves the event loop: about a millisecond of a fast tokenizer."""
KNOWN_AT_MOST = 1_000
"""Models whose tokenizers are remembered; their names are foreign text."""


@runtime_checkable
class Tokenizer(Protocol):
    """Counts tokens for one target."""

    def message(self, message: dict[str, Any]) -> int:
        """Count one message, with what the chat template adds to it."""

    def request(self, request: Request) -> int:
        """Count a whole request, tools and template included."""


class TokenCounts:
    """The tokenizers of one client, one a target, looked up once.

    Args:
        core: The running core.
    """

    def __init__(self, core: Runtime) -> None:
        self._core = core
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
            self._tokenizers[target.name] = first_now(self._core.pipeline.steps["tokenize"], target)
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
