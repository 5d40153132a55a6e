"""Canaries: found whole or in half, in texts, objects, linked exceptions and log records."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT, Canaries, found_in, texts_of


def test_a_canary_is_found_whole_or_in_half() -> None:
    """Texts are often cut; what everybody says is no canary."""
    assert found_in(f"key={CANARY_KEY}") == ("the canary key",)
    assert found_in(CANARY_KEY[:22]) == found_in(CANARY_KEY[-12:]) == ("the canary key",)
    assert found_in(CANARY_PROMPT[:40]) == found_in(CANARY_PROMPT[-25:]) == ("the canary prompt",)
    assert found_in(f"sk-canary and a prompt, {CANARY_KEY[-4:]}") == ()


def test_an_exception_gives_the_texts_of_all_that_it_is_linked_to() -> None:
    """Cause, context, members of a group, notes and attributes; a circle ends."""
    hidden = KeyError(CANARY_KEY)
    hidden.__context__ = group = ExceptionGroup("group", [ValueError(CANARY_PROMPT)])
    group.__cause__ = hidden
    error = RuntimeError("outside")
    error.__cause__ = hidden
    seen = {canary for text in texts_of(error) for canary in found_in(text)}
    assert seen == {"the canary key", "the canary prompt"}

    noted = RuntimeError("outside")
    noted.add_note(CANARY_KEY)
    assert any(found_in(text) for text in texts_of(noted))
    held = RuntimeError("outside")
    held.request = {"prompt": CANARY_PROMPT}  # type: ignore[attr-defined]
    assert any(found_in(text) for text in texts_of(held))


def test_anything_else_gives_its_str_and_repr() -> None:
    """Objects and containers; text gives itself."""
    assert found_in("".join(texts_of({"Authorization": CANARY_KEY})))
    assert list(texts_of(CANARY_KEY)) == [CANARY_KEY]


@pytest.mark.parametrize(
    "log",
    [
        lambda logger: logger.debug("sent %s", CANARY_KEY),
        lambda logger: logger.info("sent", extra={"headers": {"Authorization": CANARY_KEY}}),
        lambda logger: logger.error("failed", exc_info=ValueError(CANARY_KEY)),
    ],
    ids=["argument", "field", "exception"],
)
def test_a_log_record_is_searched_with_all_it_holds(log: Callable[[logging.Logger], None]) -> None:
    """Message with arguments, added fields, exception."""
    watcher = Canaries()
    logger = logging.Logger("some.client")  # noqa: LOG001  # one that the plugin does not listen to
    logger.addHandler(watcher)
    log(logger)
    assert len(watcher.search()) == 1
    assert watcher.sightings[0].startswith("the canary key is in a log record of 'some.client': ")


def test_what_is_watched_is_searched_at_the_end() -> None:
    """And named by its type."""
    watcher = Canaries()
    watcher.watch(ValueError("harmless"))
    assert watcher.search() == []
    watcher.watch(ValueError(CANARY_PROMPT))
    assert "the canary prompt is in ValueError" in watcher.search()[0]
