"""Ollama's sentences, and the errors that they become."""

from __future__ import annotations

import attrs
import pytest

from localagent_provider_ollama.error_rules import RULES
from localagent_testing.common_answers import COMMON_ANSWERS
from localagent_testing.translated import (
    BUSY,
    FAILED,
    NOT_FOUND,
    NOT_LOADED,
    TOO_LONG,
    UNSUPPORTED,
    WRONG_ELSEWHERE,
    Answered,
    Expected,
    answered,
    found,
    idle,
    inside,
)

OWN: dict[str, tuple[Answered, Expected]] = {
    "F107": (answered(404, {"error": "model 'llama3.2:3b' not found"}), NOT_FOUND),
    "F107 long": (answered(404, {"error": 'model "llama3.2:3b" not found, try pulling it first'}), NOT_FOUND),
    "F108": (
        answered(503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        attrs.evolve(BUSY, retry="next", breaker="neutral"),
    ),
    "F110 wait": (answered(500, {"error": "timed out waiting for llama-server to start"}), NOT_LOADED),
    "F110 memory": (
        answered(500, {"error": "model requires more system memory (2.7 GiB) than is available (1.1 GiB)"}),
        NOT_LOADED,
    ),
    "F111 exit": (answered(500, {"error": "llama runner process has terminated: exit status 2"}), FAILED),
    "F111 stop": (answered(500, {"error": "model runner has unexpectedly stopped"}), FAILED),
    "F111 cut": (answered(500, {"error": "unexpected EOF"}), FAILED),
    "F112": (inside({"error": "an error was encountered while running the model: unexpected EOF"}), FAILED),
    "F114 length": (answered(400, {"error": "the input length exceeds the context length"}), TOO_LONG),
    "F114 tools": (answered(400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}), UNSUPPORTED),
    "F114 chat": (answered(400, {"error": '"nomic-embed-text" does not support chat'}), UNSUPPORTED),
    "unsupported image at Ollama": (
        answered(500, {"error": "this model is missing data required for image input"}),
        UNSUPPORTED,
    ),
    "bad schema": (answered(500, {"error": "invalid JSON schema in format"}), WRONG_ELSEWHERE),
    "bad base64": (answered(500, {"error": "illegal base64 data at input byte 4"}), WRONG_ELSEWHERE),
    "a format": (answered(500, {"error": "image: unknown format"}), WRONG_ELSEWHERE),
    "F110 load": (answered(500, {"error": "unable to load model: /blobs/sha256"}), NOT_LOADED),
}
ANSWERS = {**COMMON_ANSWERS, **OWN}


@pytest.mark.parametrize("fault", ANSWERS)
def test_every_fault_becomes_its_error(fault: str) -> None:
    """What these servers say in their own way is understood, and what all servers say keeps its meaning."""
    case, expected = ANSWERS[fault]
    error = case(rules=RULES)
    assert found(error, expected) == expected
    assert str(error).isprintable()
    assert len(error.message) <= 300


def test_no_rule_can_be_missed() -> None:
    """Without any one rule, at least one answer becomes something else: each rule is needed, and each is tested."""
    assert idle(RULES, [case for case, _ in ANSWERS.values()]) == []


def test_a_missing_model_says_how_to_get_it() -> None:
    """The hint is the command, with the name that the server did not find."""
    error = answered(404, {"error": "model 'llama3.2:3b' not found"})(rules=RULES)
    assert error.hint == "Run: ollama pull llama3.2:3b."


def test_a_name_that_is_no_model_makes_no_command() -> None:
    """A server cannot put a shell command into the hint."""
    error = answered(404, {"error": "model 'x; rm -rf ~' not found"})(rules=RULES)
    assert "rm" not in (error.hint or "")


def test_a_model_that_does_not_fit_says_how_much_memory_it_needs() -> None:
    """A figure that matches a strict pattern may pass into our own sentence."""
    error = answered(500, {"error": "model requires more system memory (2.7 GiB) than is available (1.1 GiB)"})
    assert error(rules=RULES).message == "The model needs 2.7 GiB of memory, more than the server has (HTTP 500)."
