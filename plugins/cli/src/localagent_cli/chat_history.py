"""The memory of a chat: exchanges that are kept within a number of tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Message = dict[str, Any]
Count = Callable[[list[Message]], Awaitable[int | None]]

BYTES_PER_TOKEN = 4
"""What OpenAI gives as a rule of thumb for English text (help centre, "What are tokens and how to count them?")."""

TOKENS_PER_MESSAGE = 4
"""About what a chat template puts around a message: its role, and where it begins and ends."""


class TokenEstimate:
    """Estimates the tokens of a conversation where nobody counts them for its model.

    Bytes and messages are multiplied with the figures above, and with how far these were off at the last answer that
    told its tokens. Languages, templates and tokenizers differ by factors; the conversation at hand tells its own.
    """

    def __init__(self) -> None:
        self._factor = 1.0

    def of(self, messages: Sequence[Message]) -> int:
        """Return about how many tokens a conversation has."""
        return round(self._raw(messages) * self._factor)

    def learn(self, messages: Sequence[Message], tokens: int) -> None:
        """Take note of how many tokens a conversation had; zero, which no conversation has, is no news."""
        if tokens > 0:
            self._factor = tokens / self._raw(messages)

    @staticmethod
    def _raw(messages: Sequence[Message]) -> float:
        size = sum(len(str(message["content"]).encode(errors="replace")) for message in messages)
        return size / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages)


class History:
    """What was said so far.

    Args:
        limit: The most tokens that a request may have.
        system: What the model is told before all else; it is never forgotten.

    Attributes:
        system: As above.
        estimate: Used where nobody counts.
        forgotten: Exchanges that were dropped because there was no room for them.
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
        """Return the conversation with the next prompt, after the oldest exchanges were dropped that do not fit.

        A prompt that does not fit by itself is not shortened: the model's server says what it thinks of it.

        Args:
            prompt: What the user says next.
            count: Counts the tokens of a conversation; None where nobody can.
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
