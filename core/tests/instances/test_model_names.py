"""Names by which no model can be asked for are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Client
from localagent.errors import InvalidRequest, ModelNotFound
from localagent.instances.model_names import KNOWN_AT_MOST
from localagent.instances.token_counts import KNOWN_AT_MOST as COUNTED_AT_MOST
from localagent.records import check_model_name
from localagent_testing import fake_provider_plugin

UNFIT = {
    "too long": "fake/" + "m" * 252,
    "far too long": "m" * 1_000_000,
    "blanks": "   ",
    "no provider": "/m",
    "a blank provider": " /m",
    "no model": "fake/",
    "a blank model": "fake/ \t",
    "a line end": "fake/m\r\nx-evil: 1",
    "NUL": "fake/\0",
    "escape": "fake/\x1b[31m",
    "DEL": "fake/\x7f",
    "C1": "fake/\x85",
    "a line separator": "fake/\u2028",
    "a paragraph separator": "fake/\u2029",
    "half a character": "fake/\ud800",
}
FIT = ["", "fake/m", "fake/" + "m" * 251, "fake/org/m:7b", "fake//models/m.gguf", "fake/Größe 7", "fake/模型"]


@pytest.mark.parametrize("name", FIT)
def test_names_that_servers_give_their_models_are_taken(name: str) -> None:
    """Slashes, blanks within, every language; an empty name means the default model."""
    check_model_name(name)


@pytest.mark.parametrize("name", list(UNFIT.values()), ids=list(UNFIT))
async def test_an_unfit_name_is_refused_by_every_operation_before_anything_is_sent(name: str) -> None:
    """By the library itself; the error is short, whatever the name."""
    fake = fake_provider_plugin()
    async with Client({"models": {"fast": ["fake/m"]}}, plugins=[fake]) as client:
        for ask in (client.chat, client.complete, client.embed, client.count_tokens):
            with pytest.raises(InvalidRequest) as caught:
                await ask("Hi", model=name)
            assert len(str(caught.value)) < 200
        with pytest.raises(InvalidRequest):
            await client.stream("Hi", model=name).text()
        assert not (await client.runtime()).fleet.names._known
    assert fake.asked == []


@pytest.mark.parametrize("name", [3, ["fake/m"], {"a": 1}, b"fake/m"])
async def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    """With the same error, and not with one of Python's."""
    async with Client({}, plugins=[fake_provider_plugin()]) as client:
        with pytest.raises(InvalidRequest, match="must be text"):
            await client.chat("Hi", model=name)


async def test_no_name_means_the_default_model() -> None:
    """Left out, empty or null."""
    async with Client({}, plugins=[fake_provider_plugin()]) as client:
        assert (await client.chat("Hi")).model == (await client.chat("Hi", model="")).model == "fake/m"


async def test_names_that_are_remembered_are_bounded() -> None:
    """Each name is short, and there are only so many."""
    async with Client({}, plugins=[fake_provider_plugin()]) as client:
        for number in range(KNOWN_AT_MOST + COUNTED_AT_MOST):
            await client.count_tokens("Hi", model=f"fake/{number}")
        runtime = await client.runtime()
        assert len(runtime.fleet.names._known) <= KNOWN_AT_MOST
        assert len(runtime.fleet.tokens._tokenizers) <= COUNTED_AT_MOST


async def test_an_unknown_name_of_the_greatest_length_is_answered_with_what_there_is() -> None:
    """The nearest name is looked for in names that are short."""
    async with Client({"models": {"fast": ["fake/m"]}}, plugins=[fake_provider_plugin()]) as client:
        with pytest.raises(ModelNotFound):
            await client.chat("Hi", model="f" * 256)
