"""The memory of a chat: the exchanges that fit in a number of tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Message = dict[str, Any]
Count = Callable[[list[Message]], Awaitable[int | None]]

BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text (help centre, "What are tokens and how to count them?")."""

TOKENS_PER_MESSAGE = 4
"""About the number of tokens that a chat template adds to a message: its role, its beginning and its end."""


class TokenEstimate:
    """Estimates the tokens of a conversation when no plugin counts them for its model.

    The estimate is computed from bytes and messages with the figures above, and corrected by its error at the last
    answer that reported its tokens. Languages, templates and tokenizers differ by factors, so each conversation has
    its own correction.
    """

    def __init__(self) -> None:
        self._factor = 1.0

    def of(self, messages: Sequence[Message]) -> int:
        """Return the estimated number of tokens of a conversation."""
        return round(self._raw(messages) * self._factor)

    def learn(self, messages: Sequence[Message], tokens: int) -> None:
        """Correct the estimate by the reported tokens of a conversation; 0, which cannot be right, is ignored."""
        if tokens > 0:
            self._factor = tokens / self._raw(messages)

    @staticmethod
    def _raw(messages: Sequence[Message]) -> float:
        size = sum(len(str(message["content"]).encode(errors="replace")) for message in messages)
        return size / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages)


class History:
    """The conversation so far.

    Args:
        limit: The most tokens that a request may have.
        system: The system prompt; it is never forgotten.

    Attributes:
        system: As above.
        estimate: The estimate that is used when no plugin counts tokens.
        forgotten: The number of exchanges that were dropped because they did not fit.
    """

    def __init__(self, limit: int, system: str = "") -> None:
        self.system = system
        self.estimate = TokenEstimate()
        self.forgotten = 0
        self._limit = limit
        self._exchanges: list[tuple[Message, Message]] = []

    def messages(self, prompt: str) -> list[Message]:
        """Return the conversation with the next prompt at its end."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        said = [message for exchange in self._exchanges for message in exchange]
        return [*system, *said, {"role": "user", "content": prompt}]

    async def fitted(self, prompt: str, count: Count) -> list[Message]:
        """Drop the oldest exchanges until the conversation fits, and return it with the next prompt.

        A prompt that does not fit by itself is not shortened: the model's server answers or rejects it.

        Args:
            prompt: The user's next prompt.
            count: Counts the tokens of a conversation; returns None if no plugin can.
        """
        messages = self.messages(prompt)
        while self._exchanges and await self._tokens(messages, count) > self._limit:
            del self._exchanges[0]
            self.forgotten += 1
            messages = self.messages(prompt)
        return messages

    async def _tokens(self, messages: list[Message], count: Count) -> int:
        tokens = await count(messages)
        return self.estimate.of(messages) if tokens is None else tokens

    def add(self, prompt: str, answer: str) -> None:
        """Remember an exchange."""
        self._exchanges.append(({"role": "user", "content": prompt}, {"role": "assistant", "content": answer}))

    def clear(self) -> None:
        """Forget all exchanges."""
        self._exchanges.clear()

    def __len__(self) -> int:
        return len(self._exchanges)
