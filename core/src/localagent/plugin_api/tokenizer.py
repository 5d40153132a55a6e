"""The interface of tokenizers, which plugins bring to count tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from localagent.records.requests import Request


@runtime_checkable
class Tokenizer(Protocol):
    """Counts tokens for one target.

    Since: 0.1.
    """

    def message(self, message: dict[str, Any]) -> int:
        """Return the tokens of one message, including those that the chat template adds."""

    def request(self, request: Request) -> int:
        """Return the tokens of a whole request, including tools and chat template."""
