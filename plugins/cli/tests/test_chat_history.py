"""The memory of a chat: what is kept, what is dropped, and how tokens are estimated where nobody counts them."""

from __future__ import annotations

import pytest

from localagent_cli.chat_history import BYTES_PER_TOKEN, TOKENS_PER_MESSAGE, History, Message, TokenEstimate


async def nobody(messages: list[Message]) -> int | None:
    """Count for no model."""
    return None


async def words(messages: list[Message]) -> int | None:
    """Count words."""
    return sum(len(message["content"].split()) for message in messages)


def contents(messages: list[Message]) -> list[str]:
    return [message["content"] for message in messages]


def test_an_estimate_is_bytes_and_messages() -> None:
    """Not characters: other scripts have more bytes, and more tokens, a character."""
    estimate = TokenEstimate()
    message = {"role": "user", "content": "a" * 40}
    assert estimate.of([message]) == 40 / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE
    assert estimate.of([{"role": "user", "content": "ж" * 40}]) == 80 / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE


def test_an_estimate_learns_from_what_answers_tell() -> None:
    """The estimate is corrected by the reported tokens of the conversation."""
    estimate = TokenEstimate()
    messages = [{"role": "user", "content": "a" * 400}]
    estimate.learn(messages, 208)
    assert estimate.of(messages) == 208
    assert estimate.of(messages * 2) == 416


def test_an_answer_without_tokens_teaches_nothing() -> None:
    """Zero is what a server says that does not count."""
    estimate = TokenEstimate()
    messages = [{"role": "user", "content": "a" * 40}]
    before = estimate.of(messages)
    estimate.learn(messages, 0)
    assert estimate.of(messages) == before


@pytest.mark.parametrize(("limit", "kept"), [(100, 3), (9, 2), (5, 1), (4, 0), (0, 0)])
async def test_the_oldest_exchanges_go_until_the_rest_fits(limit: int, kept: int) -> None:
    """Each exchange has four words, the system prompt and the next question one each."""
    history = History(limit + 1, "system")
    for number in range(3):
        history.add(f"question {number}", f"answer {number}")
    messages = contents(await history.fitted("now", words))
    assert (messages[0], messages[-1]) == ("system", "now")
    assert len(messages) == 2 + 2 * kept
    assert (len(history), history.forgotten) == (kept, 3 - kept)


async def test_where_nobody_counts_the_estimate_decides() -> None:
    """An exchange and a question of 40 bytes a message are 42 tokens."""
    history = History(41)
    history.add("a" * 40, "b" * 40)
    assert len(await history.fitted("c" * 40, nobody)) == 1
    roomy = History(42)
    roomy.add("a" * 40, "b" * 40)
    assert len(await roomy.fitted("c" * 40, nobody)) == 3


async def test_a_cleared_history_keeps_the_system_prompt() -> None:
    """/clear forgets what was said, not how to behave."""
    history = History(100, "system")
    history.add("question", "answer")
    history.clear()
    assert contents(history.messages("now")) == ["system", "now"]
