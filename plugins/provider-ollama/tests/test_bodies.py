"""Requests in the OpenAI schema become Ollama's, and what Ollama cannot say is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localagent.errors import InvalidRequest
from localagent_provider_ollama import OllamaSettings
from localagent_provider_ollama.bodies import COMPLETION, EMBEDDING, chat_body, completion_body, embedding_body
from localagent_provider_ollama.chat_fields import CHAT

README = Path(__file__).parents[1] / "README.md"
BARE = OllamaSettings()
ASK = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}}


def chat(settings: OllamaSettings = BARE, **fields: Any) -> dict[str, Any]:
    """Return what a chat with these fields becomes, without what every chat has."""
    body = chat_body({"model": "ollama/m", "messages": ASK, **fields}, "m", settings, stream=False)
    assert (body.pop("model"), body.pop("messages"), body.pop("stream")) == ("m", ASK, False)
    return body


def complete(settings: OllamaSettings = BARE, **fields: Any) -> dict[str, Any]:
    """Return what a completion with these fields becomes, without what every completion has."""
    body = completion_body({"prompt": "Once", **fields}, "m", settings, stream=True)
    assert (body.pop("model"), body.pop("prompt"), body.pop("stream")) == ("m", "Once", True)
    return body


def embed(settings: OllamaSettings = BARE, **fields: Any) -> dict[str, Any]:
    """Return what a request for embeddings with these fields becomes, without the model."""
    body = embedding_body({"input": "text", **fields}, "m", settings)
    assert body.pop("model") == "m"
    return body


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("temperature", 0, "temperature"),
        ("top_p", 0.5, "top_p"),
        ("top_k", 40, "top_k"),
        ("min_p", 0.1, "min_p"),
        ("typical_p", 0.7, "typical_p"),
        ("seed", 7, "seed"),
        ("presence_penalty", 0.5, "presence_penalty"),
        ("frequency_penalty", 0.5, "frequency_penalty"),
        ("repeat_penalty", 1.1, "repeat_penalty"),
        ("num_ctx", 8192, "num_ctx"),
        ("max_tokens", 10, "num_predict"),
        ("max_completion_tokens", 10, "num_predict"),
    ],
)
def test_a_field_becomes_an_option(field: str, value: Any, name: str) -> None:
    """Of chats and of completions."""
    assert chat(**{field: value}) == {"options": {name: value}}
    assert complete(**{field: value})["options"] == {name: value}


@pytest.mark.parametrize("fields", [{"keep_alive": "1h"}, {"truncate": False}, {"shift": False}])
def test_a_field_of_ollamas_own_is_kept(fields: dict[str, Any]) -> None:
    """They stand at the top of the request."""
    assert chat(**fields) == fields


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"stop": "end"}, {"options": {"stop": ["end"]}}),
        ({"stop": ["a", "b"]}, {"options": {"stop": ["a", "b"]}}),
        ({"options": {"num_gpu": 3}}, {"options": {"num_gpu": 3}}),
        ({"tools": [TOOL]}, {"tools": [TOOL]}),
        ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [TOOL]}),
        ({"tools": [TOOL], "tool_choice": "none"}, {}),
        ({"tool_choice": "none"}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "strict": True, "schema": SCHEMA},
                }
            },
            {"format": SCHEMA},
        ),
        ({"reasoning_effort": "none"}, {"think": False}),
        ({"reasoning_effort": "low"}, {"think": "low"}),
        ({"reasoning_effort": "medium"}, {"think": True}),  # models without efforts know true and false alone
        ({"reasoning_effort": "max"}, {"think": "max"}),
        ({"think": True}, {"think": True}),
        ({"think": False, "reasoning_effort": "high"}, {"think": False}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"options": {"num_predict": 6}}),
    ],
    ids=str,
)
def test_a_chat_says_it_in_ollamas_way(fields: dict[str, Any], body: dict[str, Any]) -> None:
    """What has another form there, and what is said in two ways here."""
    assert chat(**fields) == body


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logit_bias": {}},
        {"parallel_tool_calls": True},
        {"modalities": ["text"]},
        {"verbosity": "medium"},
        {"user": "u"},
        {"metadata": {"a": "b"}},
        {"safety_identifier": "s"},
        {"store": True},
        {"stream": True},
        {"stream_options": {"include_usage": True}},
        {"service_tier": "auto"},
        {"prediction": {"type": "content", "content": "x"}},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"temperature": None, "tools": None, "no_such_field": None},
    ],
    ids=str,
)
def test_what_changes_no_answer_is_left_out(fields: dict[str, Any]) -> None:
    """A default is not said, nor is what is null."""
    assert chat(**fields) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logit_bias": {"1": -100}},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        {"tools": [{"type": "web_search"}]},
        {"parallel_tool_calls": False},
        {"response_format": {"type": "grammar"}},
        {"response_format": "json"},
        {"reasoning_effort": "minimal"},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "v"}},
        {"functions": [{"name": "f"}]},
        {"web_search_options": {}},
        {"api_base": "http://elsewhere"},
        {"prompt": "Once"},
        {"raw": True},
    ],
    ids=str,
)
def test_what_ollama_cannot_say_is_refused(fields: dict[str, Any]) -> None:
    """With status 400, before anything is sent; another provider may be able to."""
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)

    error = refused.value
    assert (error.code, error.status) == ("unsupported", 400)
    assert (error.advice.next, error.advice.sent, error.advice.breaker) == (True, False, "neutral")


@pytest.mark.parametrize(
    "fields",
    [
        {"options": [1]},
        {"tools": "add"},
        {"messages": "Hello"},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
    ],
    ids=str,
)
def test_what_is_wrong_everywhere_is_refused_as_such(fields: dict[str, Any]) -> None:
    """Another provider would not take it either."""
    with pytest.raises(InvalidRequest) as refused:
        chat_body({"messages": ASK, **fields}, "m", BARE, stream=False)

    assert (refused.value.code, refused.value.advice.next) == ("invalid_request", False)


def test_a_refusal_shows_names_but_no_values() -> None:
    """A value may be a prompt; a name is cleaned of what moves a cursor."""
    with pytest.raises(InvalidRequest) as refused:
        chat(**{"odd\x1b[31m": "secret words"})

    assert "secret" not in str(refused.value)
    assert str(refused.value).isprintable()


def test_settings_hold_unless_the_request_says_otherwise() -> None:
    """From weak to strong: ``options`` and ``num_ctx`` of the settings, ``options`` of the request, its fields."""
    settings = OllamaSettings(num_ctx=4096, keep_alive="1h", options={"num_ctx": 1, "num_gpu": 2, "top_k": 3})

    assert chat(settings) == {"keep_alive": "1h", "options": {"num_ctx": 4096, "num_gpu": 2, "top_k": 3}}
    assert chat(settings, keep_alive=0, options={"num_ctx": 5, "top_k": 6}, num_ctx=7) == {
        "keep_alive": 0,
        "options": {"num_ctx": 7, "num_gpu": 2, "top_k": 6},
    }
    assert settings.options == {"num_ctx": 1, "num_gpu": 2, "top_k": 3}


def test_a_completion_goes_on_without_a_template() -> None:
    """The text is the whole prompt; filling a gap needs the model's own template."""
    assert complete() == {"raw": True}
    assert complete(raw=False) == {"raw": False}
    assert complete(suffix="end") == {"raw": False, "suffix": "end"}
    assert completion_body({"prompt": ["Once"]}, "m", BARE, stream=False)["prompt"] == "Once"
    assert complete(best_of=1, echo=False, n=1) == {"raw": True}


@pytest.mark.parametrize(
    "fields",
    [{"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"best_of": 2}, {"echo": True}, {"logprobs": 3}, {"tools": [TOOL]}],
    ids=str,
)
def test_a_completion_that_ollama_cannot_say_is_refused(fields: dict[str, Any]) -> None:
    """Several prompts, token numbers, and what only OpenAI's old endpoint knows."""
    with pytest.raises(InvalidRequest, match="does not support") as refused:
        completion_body({"prompt": "Once", **fields}, "m", BARE, stream=False)

    assert refused.value.code == "unsupported"


def test_embeddings_are_asked_for_as_a_list() -> None:
    """One text or several; dimensions and the handling of long texts are Ollama's own."""
    assert embed() == {"input": ["text"]}
    assert embed(input=["a", "b"], dimensions=8, truncate=False, user="u") == {
        "input": ["a", "b"],
        "dimensions": 8,
        "truncate": False,
    }
    assert embed(encoding_format="float") == embed(encoding_format="base64") == embed()
    assert embed(OllamaSettings(num_ctx=512)) == {"input": ["text"], "options": {"num_ctx": 512}}


@pytest.mark.parametrize(
    "fields", [{"input": [1, 2]}, {"input": [[1], [2]]}, {"input": 1}, {"encoding_format": "int8"}]
)
def test_an_embedding_that_ollama_cannot_say_is_refused(fields: dict[str, Any]) -> None:
    """It takes text only."""
    with pytest.raises(InvalidRequest) as refused:
        embed(**fields)

    assert refused.value.code == "unsupported"


def test_nothing_to_embed_loads_the_model() -> None:
    """Ollama answers an empty list with no vectors, once the model is loaded."""
    assert embed(input=[])["input"] == []


def test_the_readme_names_every_field() -> None:
    """Its table and the tables in the code are the same."""
    rows = [line.split("|")[1] for line in README.read_text().splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+)`", " ".join(rows))) - {"tool_calls", "reasoning_content"}

    assert named == CHAT.fields | COMPLETION.fields | EMBEDDING.fields


@pytest.mark.parametrize("make", [chat, complete, embed])
def test_the_request_is_left_as_it_is(make: Callable[..., Any]) -> None:
    """Several attempts are made of one request."""
    given: dict[str, Any] = {"options": {"top_k": 1}, "num_ctx": 5}
    make(**given)

    assert given == {"options": {"top_k": 1}, "num_ctx": 5}
