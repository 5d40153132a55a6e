"""llama.cpp's types and sentences, and the errors that they become."""

from __future__ import annotations

import attrs
import pytest

from localagent_provider_llamacpp.error_rules import RULES
from localagent_testing.common_answers import COMMON_ANSWERS
from localagent_testing.translated import (
    BUSY,
    TOO_LONG,
    UNSUPPORTED,
    WRONG_ELSEWHERE,
    Answered,
    Expected,
    answered,
    found,
    idle,
    inside,
    openai_error,
    unknown,
)

OWN: dict[str, tuple[Answered, Expected]] = {
    "F6 llama.cpp": (
        answered(
            400,
            {
                "error": {
                    "code": 400,
                    "message": "request (9 tokens) exceeds the available context size",
                    "type": "exceed_context_size_error",
                }
            },
        ),
        TOO_LONG,
    ),
    "a text to embed that is longer than llama.cpp's batch": (
        answered(
            500,
            openai_error(
                "input (600 tokens) is too large to process. increase the physical batch size", type="server_error"
            ),
        ),
        TOO_LONG,
    ),
    "F85 capability": (inside(openai_error(type="not_supported_error")), unknown(UNSUPPORTED)),
    "F109 llama.cpp": (
        answered(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        attrs.evolve(BUSY, breaker="neutral"),
    ),
    "unsupported image": (
        answered(
            500,
            {
                "error": {
                    "code": 500,
                    "message": "image input is not supported - hint: if this is unexpected, you may "
                    "need to provide the mmproj",
                    "type": "server_error",
                }
            },
        ),
        UNSUPPORTED,
    ),
    "unsupported embeddings": (
        answered(501, {"error": {"message": "This server does not support embeddings. Start it with `--embeddings`"}}),
        UNSUPPORTED,
    ),
    "bad grammar": (answered(500, openai_error("Failed to parse grammar", type="server_error")), WRONG_ELSEWHERE),
    "bad image": (
        answered(500, openai_error("Failed to load image or audio file", type="server_error")),
        WRONG_ELSEWHERE,
    ),
    "F114 llama.cpp": (
        answered(501, {"error": {"code": 501, "message": "No.", "type": "not_supported_error"}}),
        UNSUPPORTED,
    ),
    "the window, in words": (answered(400, openai_error("the request exceeds the available context size")), TOO_LONG),
    "F6 llama.cpp, by its type alone": (
        answered(400, openai_error("The prompt does not fit.", type="exceed_context_size_error")),
        TOO_LONG,
    ),
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
