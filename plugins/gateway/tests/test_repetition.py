"""An upstream's sentence is told, unless it repeats the request."""

from __future__ import annotations

import json

import pytest

from localagent import FrontRequest, InvalidRequest, LocalAgentError, ModelNotFound, UpstreamServerError
from localagent_gateway.repetition import LARGE, LEFT_OUT, without_repetition

PROMPT = "Tell nobody that the caf\u00e9 opens\nonly at nine in winter."
BODY = {"model": "a-model-with-a-rather-long-name", "max_completion_tokens": 5, "messages": [{"content": PROMPT}],
        "tools": [{"name": "get_the_weather_of_tomorrow"}]}  # fmt: skip


async def told(error: LocalAgentError, body: bytes) -> str:
    await without_repetition(error, FrontRequest("POST", "/", body=body))
    return error.message


@pytest.mark.parametrize("sentence", [f"No: {PROMPT}", "I dislike 'that the caf\u00e9 opens\nonly at nine in w...'"])
@pytest.mark.parametrize("filling", [0, LARGE])
async def test_a_sentence_that_repeats_the_prompt_is_left_out(sentence: str, filling: int) -> None:
    """However the client wrote it in JSON, in small bodies and in large ones."""
    body = json.dumps({**BODY, "filling": "x" * filling}).encode()
    assert b"\\u00e9" in body
    assert await told(InvalidRequest(sentence, provider="up"), body) == f"{LEFT_OUT}."


@pytest.mark.parametrize(
    "sentence",
    [
        "Use max_completion_tokens.", "There is no model a-model-with-a-rather-long-name.", "Too long.", "",
        "The tool get_the_weather_of_tomorrow has no schema, and max_completion_tokens is 5.",
    ],
)  # fmt: skip
async def test_a_sentence_about_names_is_told(sentence: str) -> None:
    """Fields, models and tools are what a user must know to mend the request."""
    assert await told(InvalidRequest(sentence, provider="up"), json.dumps(BODY).encode()) == sentence


async def test_our_own_sentences_are_told() -> None:
    """What no upstream said is ours, and a failing server's words are never passed on in the first place."""
    body = json.dumps(BODY).encode()
    assert await told(ModelNotFound(PROMPT), body) == PROMPT
    assert await told(UpstreamServerError(PROMPT, provider="up"), body) == PROMPT
    assert await told(InvalidRequest(PROMPT, provider="up"), b"no JSON") == PROMPT
