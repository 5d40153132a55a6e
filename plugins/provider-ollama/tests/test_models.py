"""What is remembered of a model's details is small, whatever a server sends."""

from __future__ import annotations

import msgspec

from localagent import Instance
from localagent_provider_ollama.models import essence, model_info
from localagent_provider_ollama.native import Shown, Tag

INSTANCE = Instance("ollama@here", "ollama", "ollama", "http://here.invalid")
TAG = Tag(name="m", model="m", digest="d")
SHOWN = Shown(
    parameters="stop x\nnum_ctx 4096\n",
    model_info={"general.architecture": "llama", "llama.context_length": 8192, "llama.embedding_length": 64},
    capabilities=["completion", "tools", "something new"],
)


def test_what_is_remembered_says_the_same_of_a_model() -> None:
    whole, kept = (
        model_info(TAG, INSTANCE, shown=shown, loaded=None, num_ctx=None) for shown in (SHOWN, essence(SHOWN))
    )
    assert kept == whole
    assert (kept.context_length, kept.embedding_size) == (4096, 64)


def test_what_is_remembered_of_a_large_answer_is_small() -> None:
    large = "a" * 100_000
    shown = Shown(
        parameters=large,
        model_info={"general.architecture": large, "tokens": [large] * 10},
        capabilities=[large, *["tools"] * 100_000],
    )
    assert len(msgspec.json.encode(essence(shown))) < 10_000


def test_an_answer_without_details_stays_without() -> None:
    bare, kept = (
        model_info(TAG, INSTANCE, shown=shown, loaded=None, num_ctx=None) for shown in (Shown(), essence(Shown()))
    )
    assert kept == bare
