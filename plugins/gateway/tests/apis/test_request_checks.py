"""A call that is demanded is refused by name where the model can make none, or where there is no tool; in every API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fake_lists import listing

from localagent import ModelInfo, Request
from localagent.errors import UpstreamServerError
from localagent_gateway.apis.request_checks import demands_call
from localagent_testing import fake_provider_plugin

HI = [{"role": "user", "content": "Hi"}]
FUNCTION = {"name": "f", "description": "F.", "parameters": {"type": "object"}}
CHAT = {"messages": HI, "tools": [{"type": "function", "function": FUNCTION}]}
RESPONSES = {"input": "Hi", "tools": [{"type": "function", **FUNCTION}]}
MESSAGES = {"messages": HI, "max_tokens": 9, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}
NAMED = {"type": "function", "function": {"name": "f"}}

DEMANDS: list[tuple[str, dict[str, Any], Any]] = [
    ("/v1/chat/completions", CHAT, "required"),
    ("/v1/chat/completions", CHAT, NAMED),
    ("/v1/chat/completions", CHAT, {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}),
    ("/v1/responses", RESPONSES, "required"),
    ("/v1/responses", RESPONSES, {"type": "function", "name": "f"}),
    ("/v1/messages", MESSAGES, {"type": "any"}),
    ("/v1/messages", MESSAGES, {"type": "tool", "name": "f"}),
]
NO_DEMANDS: list[tuple[str, dict[str, Any], Any]] = [
    ("/v1/chat/completions", CHAT, "auto"),
    ("/v1/chat/completions", CHAT, "none"),
    ("/v1/chat/completions", CHAT, None),
    ("/v1/responses", RESPONSES, "auto"),
    ("/v1/messages", MESSAGES, {"type": "auto"}),
    ("/v1/messages", MESSAGES, {"type": "none"}),
]
ALIASES = {"models": {"both": ["fake/words", "fake/calls"], "mute": ["fake/words", "fake/more-words"]}}
MODELS = [
    ModelInfo("words", "fake", "one", tools=False),
    ModelInfo("more-words", "fake", "one", tools=False),
    ModelInfo("tagged:latest", "fake", "one", tools=False),
    ModelInfo("calls", "fake", "one", tools=True),
    ModelInfo("unknown", "fake", "one"),
]


async def answers(serve: Any, path: str, *bodies: dict[str, Any]) -> tuple[list[httpx.Response], Sequence[Any]]:
    """Return the answers to bodies, and what the model was asked."""
    fake = fake_provider_plugin()
    async with (
        serve(ALIASES, plugins=[listing(fake, MODELS)]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        return [await http.post(path, json=body) for body in bodies], list(fake.asked)


@pytest.mark.parametrize(("path", "body", "choice"), DEMANDS)
@pytest.mark.parametrize("model", ["fake/words", "fake/tagged", "mute"])
async def test_a_model_without_tools_is_named(serve: Any, path: str, body: Any, choice: Any, model: str) -> None:
    """400, streamed or not, and the model is not asked; an alias counts where none of its models has tools."""
    sent = {**body, "model": model, "tool_choice": choice}
    seen, asked = await answers(serve, path, sent, {**sent, "stream": True})
    assert [answer.status_code for answer in seen] == [400, 400]
    for answer in seen:
        assert f"The model {model} cannot call tools" in answer.json()["error"]["message"]
    assert asked == []


@pytest.mark.parametrize(("path", "body", "choice"), DEMANDS)
async def test_a_model_that_may_have_tools_is_asked(serve: Any, path: str, body: Any, choice: Any) -> None:
    """One that has them, one of which nobody knows, and an alias of which one model has them."""
    models = ("fake/calls", "fake/unknown", "fake/unlisted", "both")
    seen, asked = await answers(serve, path, *({**body, "model": model, "tool_choice": choice} for model in models))
    assert [answer.status_code for answer in seen] == [200] * 4
    assert len(asked) == 4


@pytest.mark.parametrize(("path", "body", "choice"), NO_DEMANDS)
async def test_what_demands_no_call_is_sent_on(serve: Any, path: str, body: Any, choice: Any) -> None:
    """Words are an answer, too."""
    seen, _ = await answers(serve, path, {**body, "model": "fake/words", "tool_choice": choice})
    assert [answer.status_code for answer in seen] == [200]


@pytest.mark.parametrize(("path", "body", "choice"), DEMANDS)
@pytest.mark.parametrize("tools", [None, []])
async def test_a_demand_without_tools_is_refused(serve: Any, path: str, body: Any, choice: Any, tools: Any) -> None:
    """By the names of both fields, whatever the model can do."""
    seen, asked = await answers(serve, path, {**body, "model": "fake/calls", "tool_choice": choice, "tools": tools})
    assert [answer.status_code for answer in seen] == [400]
    assert "tool_choice" in seen[0].json()["error"]["message"]
    assert asked == []


async def test_models_are_listed_once_for_demands_that_pass(serve: Any) -> None:
    """What was listed before is enough; a refusal asks again, because models change."""
    asked: list[str] = []
    fake = listing(fake_provider_plugin(), MODELS)

    class Counting(fake):  # type: ignore[misc,valid-type]
        def _make(self, setup: Any) -> Any:
            provider = super()._make(setup)
            inner = provider.list_models

            async def list_models(*args: Any) -> Any:
                asked.append("list")
                return await inner(*args)

            provider.list_models = list_models
            return provider

    async with (
        serve(plugins=[Counting]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for model, lists in (("fake/calls", 1), ("fake/unknown", 1), ("fake/calls", 1), ("fake/words", 2)):
            await http.post("/v1/chat/completions", json={**CHAT, "model": model, "tool_choice": "required"})
            assert len(asked) == lists


async def test_an_instance_that_lists_nothing_is_asked_all_the_same(serve: Any) -> None:
    """Nobody knows then that the model has no tools."""
    fake = fake_provider_plugin()

    class Silent(fake):  # type: ignore[misc,valid-type]
        def _make(self, setup: Any) -> Any:
            provider = super()._make(setup)

            async def list_models(*args: Any) -> Any:
                raise UpstreamServerError("It failed.")

            provider.list_models = list_models
            return provider

    async with (
        serve(plugins=[Silent]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        seen = await http.post("/v1/chat/completions", json={**CHAT, "model": "fake/words", "tool_choice": "required"})
    assert seen.status_code == 200


@pytest.mark.parametrize(
    ("fields", "demands"),
    [
        ({}, False), ({"tool_choice": "auto"}, False), ({"tool_choice": "none"}, False), ({"tool_choice": None}, False),
        ({"tool_choice": "required"}, True), ({"tool_choice": "any"}, True), ({"tool_choice": NAMED}, True),
        ({"function_call": {"name": "f"}}, True), ({"function_call": "auto"}, False),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}, False),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}}, True),
    ],
)  # fmt: skip
def test_a_choice_demands_a_call_or_not(fields: dict[str, Any], demands: bool) -> None:
    """In the words of the common schema, its older ones, and Mistral's ``any``."""
    assert demands_call(Request(fields)) is demands
