"""Everything that is installed, two at a time, chosen by the settings: a request passes every pair."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from localagent import Client
from localagent.pipeline import Pipeline, assemble
from localagent.plugin_api import find_plugins
from localagent.plugin_api.discovery import load_plugins
from localagent_testing import FaultServer, ReadRequest, Repeat, Send, answer

NEEDED = {"connect-aiohttp", "provider-openai"}
PAIRS = list(itertools.combinations(find_plugins(), 2))

WHOLE = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def names(pipeline: Pipeline) -> dict[str, list[str]]:
    return {hook: [step.plugin for step in steps] for hook, steps in pipeline.steps.items() if steps}


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_the_order_of_a_pair_does_not_depend_on_who_is_found_first(pair: tuple[str, str]) -> None:
    """Both orders of registration give one plan."""
    loaded, _ = load_plugins(pair)
    assert names(Pipeline(loaded)) == names(Pipeline(loaded[::-1]))


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
async def test_requests_pass_a_pair(pair: tuple[str, str]) -> None:
    """A whole answer comes through, and a stream that the server answers in one piece; nothing else is active."""
    async with FaultServer((Repeat((ReadRequest(), Send(answer(200, WHOLE)))),)) as server:
        settings = settings_for(pair, server.url)
        assert set(assemble(settings, None, {})[1].plugins) == {*pair, *NEEDED}
        async with Client(settings, environment={}) as client:
            assert (await client.chat("Hello.")).text == "Hello."
            async with client.stream("Hello.") as stream:
                assert await stream.text() == "Hello."


def settings_for(pair: tuple[str, str], url: str) -> dict[str, Any]:
    return {
        "use": sorted({*pair, *NEEDED}),
        "default_model": "wire/m",
        "providers": {"wire": {"type": "openai", "instances": [url + "/v1"]}},
    }
