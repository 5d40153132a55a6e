"""What a plugin brings to count tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from localagent.records.requests import Request


@runtime_checkable
class Tokenizer(Protocol):
    """Counts tokens for one target."""

    def message(self, message: dict[str, Any]) -> int:
        """Count one message, with what the chat template adds to it."""

    def request(self, request: Request) -> int:
        """Count a whole request, tools and template included."""
